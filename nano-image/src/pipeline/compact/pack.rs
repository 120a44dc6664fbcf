//! Compresses files with several threads into a scratch file. The number of threads does not change its bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};

use super::COMPACT_CLUSTER_SIZE;
use super::spool::Writer;
use crate::content::{BlobId, BlobStore, Content, WofAlgorithm};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Observer;
use crate::source::wim::WofCompressor;
use crate::tree::FileTree;
use crate::windows::compact::{Pending, saves};

/// How many bytes a thread compresses at a time; a multiple of every chunk size.
const BATCH: usize = 1 << 19;

/// Successive chunks of one file.
struct Batch {
    algorithm: WofAlgorithm,
    contents: Vec<u8>,
    reply: SyncSender<Result<Packed>>,
}

/// The compressed chunks of a batch.
struct Packed {
    lens: Vec<u32>,
    bytes: Vec<u8>,
}

/// The number that a compressed file has in the scratch file; `None` if compression saves no cluster.
pub(super) type Compressed = Option<usize>;

/// Compresses the `pending` files, which are sorted by their blobs, into `spool`. Files with the same blob share the
/// result.
pub(super) fn compress(
    tree: &FileTree,
    store: &dyn BlobStore,
    pending: &[Pending],
    spool: &mut Writer,
    observer: &dyn Observer,
) -> Result<Vec<Compressed>> {
    let mut jobs: Vec<Job<'_>> = Vec::new();
    let mut job_of = Vec::with_capacity(pending.len());
    let mut known = BTreeMap::new();
    for file in pending {
        let content = tree[file.node].data.as_ref().ok_or_else(|| Error::unsupported("a file without contents"))?;
        let job = match content {
            Content::Blob { id, .. } => *known.entry((*id, file.algorithm)).or_insert(jobs.len()),
            Content::Bytes(_) => jobs.len(),
        };
        if job == jobs.len() {
            jobs.push(Job { content, algorithm: file.algorithm });
        }
        job_of.push(job);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // Unbounded, so that sending never waits for a thread that panicked.
    let (sender, receiver) = channel::<Batch>();
    let receiver = Mutex::new(receiver);
    let made = std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&receiver));
        }
        // The threads end when the packer is dropped, and the sender with it.
        let limit = 2 * threads;
        let (contents, queue, offsets, made) = Default::default();
        let mut packer = Packer { spool, sender, jobs: &jobs, contents, fed: 0, queue, limit, offsets, end: 0, made };
        let in_memory = jobs.iter().take_while(|job| job.blob().is_none()).count();
        for (number, job) in jobs[..in_memory].iter().enumerate() {
            if let Content::Bytes(bytes) = job.content {
                packer.feed(number, bytes)?;
            }
        }
        let requests: Vec<BlobId> = jobs[in_memory..].iter().filter_map(Job::blob).collect();
        store.read_blobs(&requests, 1, &mut |index, bytes| {
            if observer.cancelled() {
                return Err(Error::cancelled());
            }
            packer.feed(in_memory + index, bytes)
        })?;
        packer.finish()
    })?;
    Ok(job_of.into_iter().map(|job| made[job]).collect())
}

/// Contents to compress.
struct Job<'a> {
    content: &'a Content,
    algorithm: WofAlgorithm,
}

impl Job<'_> {
    fn blob(&self) -> Option<BlobId> {
        match self.content {
            Content::Blob { id, .. } => Some(*id),
            Content::Bytes(_) => None,
        }
    }
}

/// Compresses batches until no more come.
fn work(batches: &Mutex<Receiver<Batch>>) {
    let mut compressor: Option<WofCompressor> = None;
    loop {
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        let packed = pack(&mut compressor, &batch);
        // Nobody receives any more if the build failed.
        let _ = batch.reply.send(packed);
    }
}

fn pack(compressor: &mut Option<WofCompressor>, batch: &Batch) -> Result<Packed> {
    let compressor = match compressor {
        Some(compressor) if compressor.algorithm() == batch.algorithm => compressor,
        other => other.insert(WofCompressor::new(batch.algorithm)?),
    };
    let mut packed = Packed { lens: Vec::new(), bytes: Vec::new() };
    for chunk in batch.contents.chunks(batch.algorithm.chunk_size() as usize) {
        let start = packed.bytes.len();
        compressor.compress(chunk, &mut packed.bytes);
        packed.lens.push((packed.bytes.len() - start) as u32);
    }
    Ok(packed)
}

/// Cuts contents into batches, and writes the results in the same order.
struct Packer<'a> {
    spool: &'a mut Writer,
    sender: Sender<Batch>,
    jobs: &'a [Job<'a>],
    /// Contents that are not in a batch yet, and how many bytes of the current job have arrived.
    contents: Vec<u8>,
    fed: u64,
    /// Batches that were sent; their number limits the memory.
    queue: VecDeque<Sent>,
    limit: usize,
    /// Where each finished chunk of the current job begins, and the end of the last one.
    offsets: Vec<u64>,
    end: u64,
    made: Vec<Compressed>,
}

/// A batch that was sent to a thread.
struct Sent {
    job: usize,
    is_last: bool,
    packed: Receiver<Result<Packed>>,
}

impl Packer<'_> {
    /// Takes the next contents of `job`.
    fn feed(&mut self, job: usize, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(BATCH - self.contents.len()));
            bytes = rest;
            self.contents.extend_from_slice(piece);
            self.fed += piece.len() as u64;
            let is_last = self.fed == self.jobs[job].content.len();
            if is_last || self.contents.len() == BATCH {
                self.send(job, is_last)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, job: usize, is_last: bool) -> Result<()> {
        let (reply, packed) = sync_channel(1);
        let contents = std::mem::take(&mut self.contents);
        let batch = Batch { algorithm: self.jobs[job].algorithm, contents, reply };
        self.sender.send(batch).map_err(|_| thread_ended())?;
        self.queue.push_back(Sent { job, is_last, packed });
        if is_last {
            self.fed = 0;
        }
        while self.queue.len() > self.limit {
            self.receive()?;
        }
        Ok(())
    }

    /// Writes the batch that was sent first.
    fn receive(&mut self) -> Result<()> {
        let Some(Sent { job, is_last, packed }) = self.queue.pop_front() else { return Ok(()) };
        let packed = packed.recv().map_err(|_| thread_ended())??;
        let Job { content, algorithm } = &self.jobs[job];
        let entry_len = if content.len() > u64::from(u32::MAX) { 8 } else { 4 };
        if self.offsets.is_empty() {
            let chunks = content.len().div_ceil(algorithm.chunk_size().into());
            self.spool.begin((chunks - 1) * entry_len);
        }
        for len in packed.lens {
            self.offsets.push(self.end);
            self.end += u64::from(len);
        }
        self.spool.append(&packed.bytes)?;
        if is_last {
            let len = self.spool.len();
            let made = if saves(content.len(), len, COMPACT_CLUSTER_SIZE.bytes()) {
                let entries = self.offsets[1..].iter().flat_map(|at| at.to_le_bytes().into_iter().take(entry_len as _));
                Some(self.spool.complete(&entries.collect::<Vec<u8>>())?)
            } else {
                None
            };
            self.made.push(made);
            self.offsets.clear();
            self.end = 0;
        }
        Ok(())
    }

    /// Waits for all jobs and returns their results.
    fn finish(mut self) -> Result<Vec<Compressed>> {
        while !self.queue.is_empty() {
            self.receive()?;
        }
        Ok(self.made)
    }
}

/// This is for the compiler: the panic of the thread follows.
fn thread_ended() -> Error {
    Error::new(ErrorKind::Io, "a thread that compresses has ended")
}
