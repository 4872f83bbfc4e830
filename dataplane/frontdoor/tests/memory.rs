//! Peers that leave their answers unread cannot keep the doors closed.

mod support;

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use jd_frontdoor::{Limits, Timeouts};
use jd_wire::control::FunctionSettings;
use rustix::net::{connect, socket, sockopt, AddressFamily, SocketType};
use support::{answering, channel, eventually, ok, read_head, Server, World};

const ASK: &[u8] = b"GET /function/f/large HTTP/1.1\r\nHost: h\r\n\r\n";
const MEMORY_BYTES_MAX: usize = 1 << 20;
const GREEDY: usize = 40;

/// A function with a short and with a large answer, more than sockets and buffers take.
fn world(slow: Duration) -> (World, Server) {
    let world = World::with(|config| {
        config.limits = Limits {
            memory_bytes_max: MEMORY_BYTES_MAX,
            ..Limits::default()
        };
        config.timeouts = Timeouts {
            slow,
            ..Timeouts::default()
        };
    });
    let (large, small) = (ok(vec![b'x'; 16 << 20]), ok("x"));
    let server = world.serve("a", move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some((line, _)) = read_head(&mut reader) {
            let answer = if line.contains("large") {
                &large
            } else {
                &small
            };
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    world.put("f", &["a"], FunctionSettings::default());
    (world, server)
}

fn connections(world: &World) -> u64 {
    world.front.stats().workers[0].connections
}

#[test]
fn guests_that_do_not_read_are_cut_off_at_once() {
    let (world, _server) = world(Duration::from_secs(3600));
    let guests: Vec<UnixStream> = (0..GREEDY)
        .map(|_| {
            let (ours, mut guest) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            world
                .front
                .adopt(ours.into(), "10.62.0.5:40000".parse().unwrap());
            guest.write_all(ASK).unwrap();
            guest
        })
        .collect();
    eventually("some are cut off", || {
        connections(&world) < GREEDY as u64 / 2
    });
    assert_eq!(world.get("/function/f").status, 200);
    drop(guests);
}

/// Clients that ask for much and read nothing.
fn greedy(world: &World) -> Vec<TcpStream> {
    let ask = |_| {
        let client = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // Little waits on its way: what an answer leaves in the sockets is no test of the buffers.
        sockopt::set_socket_recv_buffer_size(&client, 4096).unwrap();
        connect(&client, &world.address).unwrap();
        let mut client = TcpStream::from(client);
        client.write_all(ASK).unwrap();
        client
    };
    (0..GREEDY).map(ask).collect()
}

/// Waits until all greedy clients were let in and most were cut off.
fn most_are_cut_off(world: &World) {
    eventually("most are cut off", || {
        let requests = world.front.stats().workers[0].requests;
        requests >= GREEDY as u64 && connections(world) < GREEDY as u64 / 2
    });
}

#[test]
fn a_client_that_waits_for_its_answer_outlives_those_that_do_not_read() {
    let (world, _server) = world(Duration::from_millis(50));
    let (asked, answers) = (channel(), channel());
    let answers = (answers.0, std::sync::Mutex::new(answers.1));
    let (asked, came) = asked;
    let _patient = world.serve(
        "b",
        answering(move |request| {
            asked.lock().unwrap().send(request.body.len()).unwrap();
            let () = answers.1.lock().unwrap().recv().unwrap();
            ok("late")
        }),
    );
    world.put("patient", &["b"], FunctionSettings::default());
    let mut clients = [world.connect(), world.connect()];
    // The second has sent more than is kept for a second try elsewhere.
    for (client, length) in clients.iter_mut().zip([0, 40 << 10]) {
        client.send(format!(
            "POST /function/patient HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(vec![b'b'; length]);
        assert_eq!(came.recv().unwrap(), length);
    }
    let greedy = greedy(&world);
    most_are_cut_off(&world);
    for client in &mut clients {
        answers.0.lock().unwrap().send(()).unwrap();
        assert_eq!(client.receive().expect("a response").text(), "late");
    }
    drop(greedy);
}

#[test]
fn a_client_whose_function_does_not_read_is_told() {
    let (world, _server) = world(Duration::from_millis(50));
    let (gone, stuck) = channel::<()>();
    let stuck = std::sync::Mutex::new(stuck);
    let _deaf = world.serve("b", move |_stream| {
        let _ = stuck.lock().unwrap().recv();
    });
    world.put("deaf", &["b"], FunctionSettings::default());
    let mut client = world.connect();
    let length = 8 << 20;
    client.send(format!(
        "POST /function/deaf HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
    ));
    let mut body = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || body.write_all(&vec![b'b'; length]).is_ok());
    let greedy = greedy(&world);
    let response = client.receive().expect("a response");
    assert_eq!(response.status, 503);
    assert_eq!(response.header("Retry-After"), Some("1"));
    drop((gone, client, greedy));
    let _ = sender.join();
}

#[test]
fn clients_that_do_not_read_are_cut_off_after_a_while() {
    let (world, _server) = world(Duration::from_millis(300));
    let clients = greedy(&world);
    // Its connection waits at the closed door until others are cut off.
    assert_eq!(world.get("/function/f").status, 200);
    drop(clients);
}
