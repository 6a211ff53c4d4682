//! Both ends of an invented socket: the driver's, and the one that the world holds.

use parlor::net::driver::Transport;
use parlor_core::Lost;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Whether a task is to be polled.
#[derive(Default)]
pub(crate) struct Alarm(AtomicBool);

impl Alarm {
    pub(crate) fn ringing() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    pub(crate) fn is_ringing(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn ring(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn silence(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// One socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe(Rc<RefCell<Ends>>);

#[derive(Debug, Default)]
struct Ends {
    /// Each is one read.
    to_server: VecDeque<Vec<u8>>,
    /// What the reader finds after the bytes.
    end: Option<Lost>,
    /// Bytes that it still takes.
    room: usize,
    broken: bool,
    /// How often it took nothing, since this was last asked.
    refusals: usize,
    /// The most bytes that it encrypts at a time; None where it encrypts none.
    record_bytes: Option<usize>,
    /// Bytes that it has encrypted and did not take.
    encrypted: Vec<u8>,
    /// Bytes that it took and that were not fetched yet.
    taken: Vec<u8>,
    /// The driver will write nothing more.
    finished: bool,
    hung_up: Option<bool>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    /// A socket that encrypts what it is offered, at most so many bytes at a time.
    pub(crate) fn encrypting(record_bytes: usize) -> Self {
        let pipe = Self::default();
        pipe.0.borrow_mut().record_bytes = Some(record_bytes);
        pipe
    }

    /// Bytes come in.
    pub(crate) fn deliver(&self, piece: &[u8]) {
        let mut ends = self.0.borrow_mut();
        ends.to_server.push_back(piece.to_vec());
        wake(&mut ends.reader);
    }

    /// No more bytes come in.
    pub(crate) fn end(&self, cause: Lost) {
        let mut ends = self.0.borrow_mut();
        ends.end = Some(cause);
        wake(&mut ends.reader);
    }

    /// It takes so many bytes.
    pub(crate) fn grant(&self, bytes: usize) {
        let mut ends = self.0.borrow_mut();
        ends.room = bytes;
        if bytes > 0 {
            wake(&mut ends.writer);
        }
    }

    /// Every write fails.
    pub(crate) fn break_off(&self) {
        let mut ends = self.0.borrow_mut();
        ends.broken = true;
        wake(&mut ends.writer);
    }

    /// Fetches the first of the bytes that it took.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut ends = self.0.borrow_mut();
        assert!(bytes <= ends.taken.len(), "G8: the driver says that {bytes} bytes went, and {} did", ends.taken.len());
        ends.taken.drain(..bytes).collect()
    }

    /// How often it took nothing, since this was last asked.
    pub(crate) fn take_refusals(&self) -> usize {
        std::mem::take(&mut self.0.borrow_mut().refusals)
    }

    /// Fetches all of the bytes that it took.
    pub(crate) fn take_all(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().taken)
    }

    /// Whether the driver has said that it will write nothing more.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.borrow().finished
    }

    /// Whether the driver has hung up, and if so, whether in peace.
    pub(crate) fn hung_up(&self) -> Option<bool> {
        self.0.borrow().hung_up
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Transport for Pipe {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut ends = self.0.borrow_mut();
        match (ends.to_server.pop_front(), ends.end) {
            (Some(piece), _) => {
                buffer[..piece.len()].copy_from_slice(&piece);
                Poll::Ready(Ok(piece.len()))
            }
            (None, Some(Lost::Eof)) => Poll::Ready(Ok(0)),
            (None, Some(_)) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            (None, None) => {
                ends.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut ends = self.0.borrow_mut();
        assert!(!ends.finished, "G1: a write after the end of the stream");
        if ends.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        assert!(offered.starts_with(&ends.encrypted), "G1: {:02x?} is encrypted, and comes next", ends.encrypted);
        let bytes = &offered[..ends.room.min(offered.len())];
        if bytes.is_empty() {
            ends.refusals += 1;
            if let Some(most) = ends.record_bytes.filter(|_| ends.encrypted.is_empty()) {
                ends.encrypted.extend_from_slice(&offered[..most.min(offered.len())]);
            }
            return Err(ErrorKind::WouldBlock.into());
        }
        ends.room -= bytes.len();
        let sent = bytes.len().min(ends.encrypted.len());
        ends.encrypted.drain(..sent);
        ends.taken.extend(bytes);
        Ok(bytes.len())
    }

    fn committed(&self) -> usize {
        self.0.borrow().encrypted.len()
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.0.borrow_mut();
        if ends.room > 0 || ends.broken {
            return Poll::Ready(Ok(()));
        }
        ends.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn finish(&mut self) {
        let mut ends = self.0.borrow_mut();
        assert!(ends.encrypted.is_empty(), "G1: the end of the stream before {:02x?}", ends.encrypted);
        ends.finished = true;
    }

    fn abort(&mut self) {
        self.0.borrow_mut().hung_up = Some(false);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // The other end is the world's.
        if Rc::strong_count(&self.0) == 2 {
            self.0.borrow_mut().hung_up.get_or_insert(true);
        }
    }
}
