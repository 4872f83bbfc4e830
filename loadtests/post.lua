-- wrk: POST a generated body; the only argument after "--" is its length in bytes.
function init(args)
  local size = tonumber(args[1]) or 600
  local bytes = {}
  for i = 1, size do
    bytes[i] = string.char(33 + (i - 1) % 89)
  end
  wrk.method = "POST"
  wrk.body = table.concat(bytes)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("result requests=%d duration_us=%d failed=%d\n", summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
