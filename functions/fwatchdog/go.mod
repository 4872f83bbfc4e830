module junctiond/functions/fwatchdog

go 1.22
