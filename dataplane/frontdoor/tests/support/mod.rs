//! Function servers over real Unix sockets, a front door over them, and a plain client.

#![allow(dead_code)] // Each test file uses a part.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use jd_link::Owner;
use rustix::net::{
    bind, connect, socket_with, AddressFamily, SocketAddrUnix, SocketFlags, SocketType,
};

use jd_frontdoor::{Config, Dialer, Events, FrontDoor};
use jd_wire::control::{Function, FunctionSettings, Replica};

/// How long a test waits for what is sure to come: machines that build something beside it are slow.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Sandboxes are files `SANDBOX-PORT.sock` in a folder.
pub struct PathDialer {
    pub folder: PathBuf,
    pub dials: AtomicUsize,
    /// Who holds a connection, by the abstract name of its end.
    pub owners: Mutex<HashMap<Vec<u8>, Weak<dyn Owner>>>,
}

impl Dialer for PathDialer {
    fn dial(
        &self,
        sandbox: &str,
        port: u16,
        owner: Option<&Arc<dyn Owner>>,
    ) -> io::Result<OwnedFd> {
        let number = self.dials.fetch_add(1, Ordering::SeqCst);
        let name = format!("{}/{number}", self.folder.display()).into_bytes();
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        bind(&socket, &SocketAddrUnix::new_abstract_name(&name)?)?;
        if let Some(owner) = owner {
            let mut owners = self.owners.lock().unwrap();
            owners.insert(name, Arc::downgrade(owner));
        }
        let path = self.folder.join(format!("{sandbox}-{port}.sock"));
        connect(&socket, &SocketAddrUnix::new(&path)?)?;
        let stream = UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(stream.into())
    }
}

/// Keeps what it hears.
#[derive(Default)]
pub struct Heard {
    pub wanted: Mutex<Vec<(String, Instant)>>,
}

impl Events for Heard {
    fn wanted(&self, name: &str, namespace: &str) {
        self.wanted
            .lock()
            .unwrap()
            .push((format!("{name}.{namespace}"), Instant::now()));
    }
}

pub struct World {
    pub folder: tempfile::TempDir,
    pub front: FrontDoor,
    pub address: SocketAddr,
    pub dialer: Arc<PathDialer>,
    pub heard: Arc<Heard>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dialer = Arc::new(PathDialer {
            folder: folder.path().into(),
            dials: AtomicUsize::new(0),
            owners: Mutex::default(),
        });
        let heard = Arc::new(Heard::default());
        let mut config = Config {
            listeners: vec![listener],
            workers: 1,
            provider_socket: folder.path().join("provider.sock"),
            version: "0.test".into(),
            ..Config::default()
        };
        config.timeouts.shutdown = Duration::from_secs(1);
        change(&mut config);
        let front = FrontDoor::start(config, dialer.clone(), heard.clone()).unwrap();
        Self {
            folder,
            front,
            address,
            dialer,
            heard,
        }
    }

    pub fn put(&self, name: &str, sandboxes: &[&str], settings: FunctionSettings) {
        let replicas = sandboxes.iter().map(|sandbox| Replica {
            sandbox: (*sandbox).into(),
            port: 8080,
            draining: false,
        });
        self.put_replicas(name, replicas.collect(), settings);
    }

    pub fn put_replicas(&self, name: &str, replicas: Vec<Replica>, settings: FunctionSettings) {
        let function = Function {
            name: name.into(),
            namespace: "openfaas-fn".into(),
            settings,
            replicas,
        };
        self.front.put_function(function).unwrap();
    }

    /// Serves `sandbox` with `handler` on every connection.
    pub fn serve(
        &self,
        sandbox: &str,
        handler: impl Fn(UnixStream) + Send + Sync + 'static,
    ) -> Server {
        Server::start(
            &self.folder.path().join(format!("{sandbox}-8080.sock")),
            handler,
        )
    }

    pub fn serve_provider(&self, handler: impl Fn(UnixStream) + Send + Sync + 'static) -> Server {
        Server::start(&self.folder.path().join("provider.sock"), handler)
    }

    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).unwrap())
    }

    pub fn get(&self, path: &str) -> Response {
        self.connect().get(path)
    }
}

/// Accepts until dropped; then its connections are shut down as if the process had been killed.
pub struct Server {
    path: PathBuf,
    open: Arc<Mutex<Vec<UnixStream>>>,
    stop: Arc<AtomicBool>,
    pub accepted: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(path: &Path, handler: impl Fn(UnixStream) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (open, stop) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(AtomicBool::new(false)),
        );
        let accepted = Arc::new(AtomicUsize::new(0));
        let server = Self {
            path: path.into(),
            open: open.clone(),
            stop: stop.clone(),
            accepted: accepted.clone(),
        };
        let handler = Arc::new(handler);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                accepted.fetch_add(1, Ordering::SeqCst);
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let handler = handler.clone();
                std::thread::spawn(move || {
                    handler(stream.try_clone().unwrap());
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                });
            }
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A request as a function sees it.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

fn find<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Reads a first line and headers; `None` at the end of the stream.
pub fn read_head(reader: &mut impl BufRead) -> Option<(String, Vec<(String, String)>)> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        if reader.read_line(&mut field).ok()? == 0 {
            return None;
        }
        let Some((name, value)) = field.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Some((line.trim_end().to_owned(), headers))
}

/// Reads a body by its framing headers; the second value is the trailers' text.
pub fn read_body(
    reader: &mut impl BufRead,
    headers: &[(String, String)],
    until_close: bool,
) -> Option<(Vec<u8>, String)> {
    let mut body = Vec::new();
    if find(headers, "Transfer-Encoding").is_some() {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok().filter(|&n| n > 0)?;
            let size = usize::from_str_radix(size.trim().split(';').next().unwrap(), 16).ok()?;
            if size == 0 {
                break;
            }
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..]).ok()?;
            reader.read_exact(&mut [0; 2]).ok()?;
        }
        let mut trailers = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
            if line == "\r\n" {
                return Some((body, trailers));
            }
            trailers.push_str(&line);
        }
    }
    match find(headers, "Content-Length") {
        Some(length) => {
            body.resize(length.parse().ok()?, 0);
            reader.read_exact(&mut body).ok()?;
        }
        None if until_close => drop(reader.read_to_end(&mut body).ok()?),
        None => {}
    }
    Some((body, String::new()))
}

/// A function that answers each request with what `answer` returns, a whole response.
pub fn answering(
    answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
) -> impl Fn(UnixStream) + Send + Sync {
    move |stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some((line, headers)) = read_head(&mut reader) {
            let Some((body, _)) = read_body(&mut reader, &headers, false) else {
                return;
            };
            if stream
                .write_all(&answer(&Request {
                    line,
                    headers,
                    body,
                }))
                .is_err()
            {
                return;
            }
        }
    }
}

/// A whole 200 response.
pub fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

/// A function that says its own name.
pub fn named(name: &'static str) -> impl Fn(UnixStream) + Send + Sync {
    answering(move |_| ok(name))
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: String,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A client on one connection.
pub struct Client {
    pub stream: TcpStream,
    pub reader: BufReader<TcpStream>,
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).unwrap();
    }

    pub fn head(&mut self) -> Option<Response> {
        let (line, headers) = read_head(&mut self.reader)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        Some(Response {
            status,
            headers,
            body: Vec::new(),
            trailers: String::new(),
        })
    }

    /// Reads one response; `None`: the connection ended before its end.
    pub fn receive(&mut self) -> Option<Response> {
        let mut response = self.head()?;
        let bodiless = response.status < 200 || response.status == 204 || response.status == 304;
        if !bodiless {
            (response.body, response.trailers) =
                read_body(&mut self.reader, &response.headers, true)?;
        }
        Some(response)
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: front\r\n\r\n"));
        self.receive().expect("a response")
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Response {
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: front\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        self.send(body);
        self.receive().expect("a response")
    }

    /// Whether the other side closed the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0]), Ok(0) | Err(_))
    }
}

/// Waits for something to become true.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A channel's sender usable in a shared handler.
pub fn channel<T>() -> (Arc<Mutex<mpsc::Sender<T>>>, mpsc::Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    (Arc::new(Mutex::new(sender)), receiver)
}
