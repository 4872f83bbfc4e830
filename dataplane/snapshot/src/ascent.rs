//! The whole way of the restorer.

use std::convert::Infallible;
use std::io::{self, BufReader};

use crate::fingerprint::fingerprint;
use crate::format::{KernelMap, Snapshot};
use crate::frame;
use crate::program::{self, Present};
use crate::rebuild::{self, Failure, FIRST_OWN};
use crate::sys::{descriptor, jump};

/// Descriptor of the snapshot, as the sandbox's launcher leaves it.
pub const SNAPSHOT: i32 = 3;
/// Descriptor that failures are told at; its end means that the program runs.
pub const REPORT: i32 = 4;

const PAGE: usize = 4096;
/// The kernel takes names of at most this length, with the NUL.
const NAME_BYTES: usize = 16;

/// Becomes the program of the snapshot; returns only when it cannot.
///
/// # Errors
/// [`Failure`] in words.
pub fn run() -> Result<Infallible, Failure> {
    let named = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let file = descriptor::lift(SNAPSHOT, FIRST_OWN).map_err(named("the snapshot"))?;
    let report = descriptor::lift(REPORT, FIRST_OWN).map_err(named("the report"))?;
    let reader = descriptor::reader(file).map_err(named("the snapshot"))?;
    let (snapshot, pages) = Snapshot::read(&mut BufReader::with_capacity(1 << 16, reader))
        .map_err(named("the snapshot"))?;
    if snapshot.fingerprint != fingerprint().map_err(named("fingerprint"))? {
        return Err("it was taken on another machine, kernel or boot".to_owned());
    }
    // What may fail comes before the function seems to listen.
    let files = rebuild::files(&snapshot)?;
    rebuild::rebuild(&snapshot)?;
    let present = Present {
        pages: (file.unsigned_abs().into(), pages),
        files,
        first_own: FIRST_OWN.unsigned_abs().into(),
        pad: (0, 0),
        kernel_maps: kernel_maps().map_err(named("reading the mappings"))?,
        id: std::process::id(),
        space: (0, 0),
        name: 0,
        actions: Vec::new(),
    };
    ascend(&snapshot, present, report.unsigned_abs().into())
}

fn kernel_maps() -> io::Result<Vec<KernelMap>> {
    let text = std::fs::read_to_string("/proc/self/maps")?;
    let entry = |line: &str| {
        let name = ["[vvar", "[vdso]"]
            .iter()
            .find_map(|name| line.rfind(name))?;
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        Some(KernelMap {
            name: line.get(name..)?.to_owned(),
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
        })
    };
    Ok(text.lines().filter_map(entry).collect())
}

/// Where the parts of the launchpad lie, as offsets from its first address. Code has pages of its own.
struct Parts {
    frame: usize,
    packet: usize,
    name: usize,
    space: usize,
    auxiliary: usize,
    actions: usize,
    steps: usize,
}

impl Parts {
    fn of(snapshot: &Snapshot) -> Self {
        let frame = PAGE;
        let packet = frame + snapshot.thread.extended.len().max(1024) + PAGE;
        let packet = packet.next_multiple_of(64);
        let name = packet + jump::FAILURE_BYTES;
        let space = name + NAME_BYTES;
        let auxiliary = space + 13 * 8;
        let actions = auxiliary + snapshot.space.auxiliary.len() * 8;
        let steps = actions + snapshot.signals.len() * 32;
        Self {
            frame,
            packet,
            name,
            space,
            auxiliary,
            actions,
            steps,
        }
    }
}

/// Lays the launchpad out and leaves.
fn ascend(snapshot: &Snapshot, mut present: Present, report: u64) -> Result<Infallible, Failure> {
    let failed = |error: io::Error| format!("preparing the launchpad: {error}");
    let parts = Parts::of(snapshot);
    // Every mapping and range takes a few steps; the exact number is known below.
    let fills: usize = snapshot
        .maps
        .iter()
        .map(|map| 3 + map.advice.len() + 2 * map.fills.len())
        .sum();
    let steps_max = 64 + fills + snapshot.signals.len() + snapshot.kernel_maps.len() * 2;
    let bytes = (parts.steps + steps_max * size_of::<jump::Step>()).next_multiple_of(PAGE);
    let at = jump::room(bytes).map_err(failed)?;
    let place = |offset: usize| at + offset as u64;
    present.pad = (at, place(bytes));
    present.name = place(parts.name);
    present.space = (place(parts.space), 13 * 8);
    present.actions = (0..snapshot.signals.len())
        .map(|n| place(parts.actions + n * 32))
        .collect();
    let steps = program::steps(snapshot, &present)?;
    if steps.len() > steps_max {
        return Err("more steps than expected".to_owned());
    }
    let fill = |offset, content: &[u8]| jump::fill(at, bytes, offset, content).map_err(failed);
    fill(0, jump::code())?;
    let frame = frame::frame(&snapshot.thread, place(parts.frame)).map_err(failed)?;
    if parts.frame + frame.len() > parts.packet {
        return Err("the registers take too much room".to_owned());
    }
    fill(parts.frame, &frame)?;
    fill(parts.packet, b"r")?;
    let name = snapshot.thread.name.as_bytes();
    fill(parts.name, &name[..name.len().min(NAME_BYTES - 1)])?;
    fill(parts.space, &space(snapshot, place(parts.auxiliary)))?;
    fill(parts.auxiliary, &words(&snapshot.space.auxiliary))?;
    let actions: Vec<u64> = snapshot
        .signals
        .iter()
        .flat_map(|action| action.words)
        .collect();
    fill(parts.actions, &words(&actions))?;
    fill(parts.steps, &jump::bytes_of(&steps))?;
    jump::make_code(at, PAGE).map_err(failed)?;
    jump::silence_signals();
    jump::leave_sequences().map_err(failed)?;
    jump::go(jump::Launchpad {
        code: at,
        steps: place(parts.steps),
        count: steps.len() as u64,
        frame: place(parts.frame),
        report,
        packet: place(parts.packet),
    })
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// `struct prctl_mm_map`: eleven addresses, the auxiliary vector, its length and no descriptor.
fn space(snapshot: &Snapshot, auxiliary: u64) -> Vec<u8> {
    let mut all = snapshot.space.words.to_vec();
    let length = snapshot.space.auxiliary.len() as u64 * 8;
    all.push(auxiliary);
    all.push(length | u64::from(u32::MAX) << 32);
    words(&all)
}

/// Tells the keeper why there is no way. Only it listens, and it may be gone.
pub fn tell(failure: &str) {
    let packet = [b"r".as_slice(), failure.as_bytes()].concat();
    for number in [FIRST_OWN + 1, REPORT] {
        if descriptor::write(number, &packet).is_ok() {
            return;
        }
    }
}
