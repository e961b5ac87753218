//! Stands before librdkafka's mock cluster, and has it answer as a broker does that has just started: it tells of the
//! topics, but of no brokers, not even of itself.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The number of the question for metadata in Kafka's protocol.
const METADATA: i16 = 3;

/// All of its connections are one broker's: the mock cluster's only one.
#[derive(Debug)]
pub(super) struct Forgetful {
    pub(super) servers: String,
    port: i32,
    forgets: AtomicBool,
    forgot: AtomicUsize,
}

impl Forgetful {
    /// Before the broker at `behind`.
    pub(super) fn before(behind: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("an address");
        let this = Arc::new(Self {
            servers: address.to_string(),
            port: i32::from(address.port()),
            forgets: AtomicBool::new(false),
            forgot: AtomicUsize::new(0),
        });
        let (serving, behind) = (this.clone(), behind.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let broker = TcpStream::connect(&behind).expect("connect to the mock cluster");
                serving.serve(client, broker);
            }
        });
        this
    }

    /// Whether it tells of no brokers from now on.
    pub(super) fn forget(&self, forgets: bool) {
        self.forgets.store(forgets, Ordering::SeqCst);
    }

    /// How often it told of no brokers.
    pub(super) fn forgot(&self) -> usize {
        self.forgot.load(Ordering::SeqCst)
    }

    fn serve(self: &Arc<Self>, mut client: TcpStream, mut broker: TcpStream) {
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let (mut from_client, mut to_broker, asking) = (
            client.try_clone().expect("a handle"),
            broker.try_clone().expect("a handle"),
            asked.clone(),
        );
        std::thread::spawn(move || {
            while let Some(frame) = frame(&mut from_client) {
                let (key, version) = (short(&frame, 4), short(&frame, 6));
                if key == METADATA {
                    assert!((9..=12).contains(&version), "version {version} isn't known here");
                    asking.lock().expect("what was asked").insert(int(&frame, 8), version);
                }
                if to_broker.write_all(&frame).is_err() {
                    break;
                }
            }
            let _ = to_broker.shutdown(Shutdown::Both);
        });
        let this = self.clone();
        std::thread::spawn(move || {
            while let Some(mut frame) = frame(&mut broker) {
                if asked.lock().expect("what was asked").remove(&int(&frame, 4)).is_some() {
                    frame = this.changed(&frame);
                }
                if client.write_all(&frame).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(Shutdown::Both);
        });
    }

    /// The metadata, with no broker or with this one instead of the mock cluster's.
    fn changed(&self, frame: &[u8]) -> Vec<u8> {
        // Length, number of the question, no tags, milliseconds of throttling: then the brokers.
        let start = 4 + 4 + 1 + 4;
        assert_eq!(frame[start], 2, "one broker, and one more as lengths are written");
        let host = start + 1 + 4;
        let port = host + usize::from(frame[host]);
        let rack = port + 4;
        // No rack, or one of that length; then no tags.
        let end = rack + usize::from(frame[rack]).max(1) + 1;
        let mut changed = frame[..start].to_vec();
        if self.forgets.load(Ordering::SeqCst) {
            self.forgot.fetch_add(1, Ordering::SeqCst);
            changed.push(1);
        } else {
            changed.extend(&frame[start..port]);
            changed.extend(self.port.to_be_bytes());
            changed.extend(&frame[rack..end]);
        }
        changed.extend(&frame[end..]);
        let length = i32::try_from(changed.len() - 4).expect("a short answer");
        changed[..4].copy_from_slice(&length.to_be_bytes());
        changed
    }
}

/// With its length; `None`: the connection is closed.
fn frame(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    from.read_exact(&mut frame).ok()?;
    frame.resize(4 + usize::try_from(int(&frame, 0)).ok()?, 0);
    from.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}

fn short(frame: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([frame[at], frame[at + 1]])
}

fn int(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}
