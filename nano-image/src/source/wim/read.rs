//! Reads blobs in one pass. The work is divided into items of about 1 MiB, which several threads decompress and which
//! are delivered in order.
//!
//! An item is a series of chunks that lie together in a part, and is read with one call. Small blobs share an item,
//! large ones span several, and a chunk of a solid resource serves all blobs in it. The items depend only on the
//! requests, not on the threads. The calling thread delivers finished items, and decompresses while the next one is not
//! ready. Buffers are reused, so their number bounds the memory.
//!
//! A blob that is wanted in its stored form is read as if it were not compressed. To check it, the same bytes are read
//! again soon after (they are in the page cache then), decompressed and hashed, but not delivered.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use sha1::{Digest, Sha1};

use super::codec::Codec;
use super::format::Compression;
use super::resource::{Chunk, ChunkTable, Mark, Resource};
use super::store::WimStore;
use crate::content::{BlobForm, BlobId, BlobRequest, BlobSink, ReadOptions, SourceCheck};
use crate::error::{Error, Result};

/// Bytes of output that an item should have; a single chunk may be larger.
const ITEM_LEN: usize = 1 << 20;
/// Chunks further apart than this are not read with one call.
const MAX_GAP: u64 = 32 << 10;

/// Reads `requests`; see [`BlobStore::read_forms`](crate::content::BlobStore::read_forms).
pub(super) fn read_forms(
    store: &WimStore,
    requests: &[BlobRequest],
    options: ReadOptions,
    sink: &mut BlobSink<'_>,
) -> Result<()> {
    let steps = steps(store, requests, options.check)?;
    let (mut total, mut largest) = (0u64, ITEM_LEN as u64);
    for step in &steps {
        let source = StepSource::of(store, step)?;
        total = total.saturating_add(source.len);
        largest = largest.max(source.resource.step());
    }
    let jobs = options.jobs;
    let jobs = (total / ITEM_LEN as u64 + 1).min(jobs.max(1) as u64) as usize;
    // For large chunks (solid resources) there are as few buffers as possible.
    let buffers = if largest > 4 * ITEM_LEN as u64 { jobs + 1 } else { 2 * jobs + 2 };
    let mut delivery = Delivery { store, steps: &steps, sink, hasher: Sha1::new() };
    let mut worker = Worker::default();
    let mut plan = Plan::new(store, &steps);
    if jobs == 1 {
        let mut item = Item::default();
        while plan.next(&mut item)? {
            worker.run(store, &mut item)?;
            delivery.deliver(&item)?;
        }
        return Ok(());
    }
    let queue = Queue::new(plan, buffers);
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&queue);
        for _ in 1..jobs {
            scope.spawn(|| queue.work(store));
        }
        for sequence in 0.. {
            let item = loop {
                match queue.take(sequence) {
                    Next::Finished(item) => break item,
                    Next::Claimed(mut item) => {
                        worker.try_run(store, &mut item);
                        queue.finish(item);
                    }
                    Next::End => return Ok(()),
                }
            };
            if let Some(error) = item.failure {
                return Err(error);
            }
            delivery.deliver(&item)?;
            queue.recycle(item);
        }
        Ok(())
    })
}

/// A blob to be read, in one of its forms.
struct Step {
    request: usize,
    blob: BlobId,
    form: BlobForm,
    /// Whether the sink gets it.
    deliver: bool,
    /// Whether its digest is checked.
    check: bool,
}

/// Splits `requests` into items of work. Stored forms are checked in groups, so that small ones share an item.
fn steps(store: &WimStore, requests: &[BlobRequest], check: SourceCheck) -> Result<Vec<Step>> {
    let mut steps = Vec::with_capacity(requests.len());
    let check = check == SourceCheck::Full;
    let mut group: Vec<BlobId> = Vec::new();
    let mut group_len = 0;
    let verify = |blob: BlobId| Step { request: 0, blob, form: BlobForm::Contents, deliver: false, check: true };
    for (number, request) in requests.iter().enumerate() {
        let is_stored = request.form == BlobForm::Stored;
        if !is_stored || group_len >= ITEM_LEN as u64 {
            steps.extend(group.drain(..).map(verify));
            group_len = 0;
        }
        if is_stored {
            let Some(form) = store.form(store.get(request.id)?) else {
                let message = format!("blob {} has no form that can be copied", hex::encode(store.digest(request.id)));
                return Err(Error::unsupported(message).with_path(&store.parts[0].path));
            };
            if check && group.last() != Some(&request.id) {
                group.push(request.id);
                group_len += form.len;
            }
        }
        let check = check && !is_stored;
        steps.push(Step { request: number, blob: request.id, form: request.form, deliver: true, check });
    }
    steps.extend(group.drain(..).map(verify));
    Ok(steps)
}

/// Where a step reads.
struct StepSource {
    /// The resource to read, and a number that no other resource has.
    resource: Resource,
    number: usize,
    /// Offset in the decompressed resource.
    offset: u64,
    len: u64,
}

impl StepSource {
    fn of(store: &WimStore, step: &Step) -> Result<Self> {
        let blob = store.get(step.blob)?;
        let resource = &store.resources[blob.resource as usize];
        let number = 2 * blob.resource as usize;
        Ok(match step.form {
            BlobForm::Contents => Self { resource: resource.clone(), number, offset: blob.offset, len: blob.len },
            BlobForm::Stored => {
                Self { resource: resource.as_stored(), number: number + 1, offset: 0, len: resource.stored_len }
            }
        })
    }
}

/// A series of chunks and their contents.
#[derive(Default)]
struct Item {
    sequence: u64,
    failure: Option<Error>,
    part: usize,
    /// First byte to read, and the end.
    read_start: u64,
    read_end: u64,
    /// Compression and chunk size of the compressed chunks.
    codec: Option<(Compression, u32)>,
    chunks: Vec<Chunk>,
    /// The last run of adjacent chunks of one resource.
    run: Option<ChunkRun>,
    slices: Vec<Slice>,
    output_len: usize,
    /// At least `output_len` bytes.
    output: Vec<u8>,
}

struct ChunkRun {
    resource: usize,
    first: u64,
    count: u64,
    /// Where its output begins.
    output: usize,
}

/// A piece of a blob in the output of an item.
struct Slice {
    /// Index of its step.
    step: usize,
    blob: BlobId,
    check: bool,
    start: usize,
    len: usize,
    is_first: bool,
    is_last: bool,
    /// SHA-1 of the blob, if all of it is in this slice.
    digest: [u8; 20],
}

impl Item {
    /// Clears everything but the buffers.
    fn clear(&mut self) {
        (self.failure, self.codec, self.run, self.output_len) = (None, None, None, 0);
        self.chunks.clear();
        self.slices.clear();
    }

    /// Hashes the blobs that lie completely in this item and are to be checked.
    fn hash(&mut self) {
        for slice in self.slices.iter_mut().filter(|slice| slice.check && slice.is_first && slice.is_last) {
            slice.digest = Sha1::digest(&self.output[slice.start..slice.start + slice.len]).into();
        }
    }

    /// Where chunk `index` of `resource` begins in the output, if it is in this item.
    fn find(&self, resource: usize, index: u64, step: u64) -> Option<usize> {
        let run = self.run.as_ref().filter(|run| run.resource == resource)?;
        let within = index.checked_sub(run.first).filter(|within| *within < run.count)?;
        Some(run.output + (within * step) as usize)
    }

    /// Appends a chunk, unless the item already has chunks with which it does not go together.
    fn push(&mut self, part: usize, codec: (Compression, u32), chunk: Chunk, resource: usize, index: u64) -> bool {
        let codec = (chunk.stored_len < chunk.len).then_some(codec);
        let end = chunk.offset + u64::from(chunk.stored_len);
        if self.chunks.is_empty() {
            (self.part, self.read_start) = (part, chunk.offset);
        } else {
            let near = chunk.offset.checked_sub(self.read_end).is_some_and(|gap| gap <= MAX_GAP);
            let same_codec = codec.is_none() || self.codec.is_none() || self.codec == codec;
            let fits = self.output_len + chunk.len as usize <= ITEM_LEN;
            let short = end.saturating_sub(self.read_start) <= 2 * ITEM_LEN as u64;
            if part != self.part || !near || !same_codec || !fits || !short {
                return false;
            }
        }
        self.read_end = end;
        self.codec = self.codec.or(codec);
        match &mut self.run {
            Some(run) if run.resource == resource && run.first + run.count == index => run.count += 1,
            run => *run = Some(ChunkRun { resource, first: index, count: 1, output: self.output_len }),
        }
        self.chunks.push(chunk);
        self.output_len += chunk.len as usize;
        true
    }
}

/// Divides the steps into items.
struct Plan<'a> {
    store: &'a WimStore,
    steps: &'a [Step],
    /// The current step, and how much of it earlier items contain.
    step: usize,
    done: u64,
    table: ChunkTable,
    /// Where the current blob begins, in case it is requested again.
    begin: Mark,
}

impl<'a> Plan<'a> {
    fn new(store: &'a WimStore, steps: &'a [Step]) -> Self {
        Self { store, steps, step: 0, done: 0, table: ChunkTable::new(), begin: Mark::default() }
    }

    /// Fills `item`; `false` if nothing is left.
    fn next(&mut self, item: &mut Item) -> Result<bool> {
        item.clear();
        while let Some(step) = self.steps.get(self.step) {
            let source = StepSource::of(self.store, step)?;
            let (resource, number) = (&source.resource, source.number);
            let part = &self.store.parts[usize::from(resource.part)];
            let chunk_len = resource.step();
            while self.done < source.len {
                let position = source.offset + self.done;
                let index = position / chunk_len;
                let mut place = item.find(number, index, chunk_len);
                if place.is_none() {
                    let chunk = self.table.chunk(number, resource, part, index)?;
                    if self.done == 0 {
                        self.begin = self.table.mark();
                    }
                    let codec = (resource.compression, resource.chunk_size);
                    if !item.push(resource.part.into(), codec, chunk, number, index) {
                        return Ok(true);
                    }
                    place = item.find(number, index, chunk_len);
                } else if self.done == 0 {
                    self.begin = self.table.mark();
                }
                let start = place.unwrap_or_default() + (position % chunk_len) as usize;
                let len = (chunk_len - position % chunk_len).min(source.len - self.done);
                self.done += len;
                let is_last = self.done == source.len;
                match item.slices.last_mut() {
                    Some(slice) if slice.step == self.step => {
                        slice.len += len as usize;
                        slice.is_last = is_last;
                    }
                    _ => item.slices.push(Slice {
                        step: self.step,
                        blob: step.blob,
                        check: step.check,
                        start,
                        len: len as usize,
                        is_first: self.done == len,
                        is_last,
                        digest: [0; 20],
                    }),
                }
            }
            let next = self.steps.get(self.step + 1);
            if source.len > 0 && next.is_some_and(|next| (next.blob, next.form) == (step.blob, step.form)) {
                self.table.restore(self.begin);
            }
            (self.step, self.done) = (self.step + 1, 0);
        }
        Ok(!item.slices.is_empty())
    }
}

/// Buffers that a thread reuses for each item.
#[derive(Default)]
struct Worker {
    input: Vec<u8>,
    decompressor: Option<((Compression, u32), Codec)>,
}

impl Worker {
    /// Calls [`run`](Self::run), and stores a failure in the item.
    fn try_run(&mut self, store: &WimStore, item: &mut Item) {
        if item.failure.is_none() {
            item.failure = self.run(store, item).err();
        }
    }

    /// Reads and decompresses `item`, and hashes the blobs that lie completely in it.
    fn run(&mut self, store: &WimStore, item: &mut Item) -> Result<()> {
        let part = &store.parts[item.part];
        let input_len = (item.read_end - item.read_start) as usize;
        grow(&mut item.output, item.output_len);
        if item.codec.is_none() && input_len == item.output_len {
            part.read(&mut item.output[..input_len], item.read_start)?;
            item.hash();
            return Ok(());
        }
        grow(&mut self.input, input_len);
        part.read(&mut self.input[..input_len], item.read_start)?;
        if self.decompressor.as_ref().map(|(codec, _)| *codec) != item.codec && item.codec.is_some() {
            self.decompressor = None;
            self.decompressor = item.codec.and_then(|codec| Some((codec, Codec::new(codec.0, codec.1)?)));
        }
        let mut at = 0;
        for chunk in &item.chunks {
            let start = (chunk.offset - item.read_start) as usize;
            let stored = &self.input[start..start + chunk.stored_len as usize];
            let output = &mut item.output[at..at + chunk.len as usize];
            if chunk.stored_len == chunk.len {
                output.copy_from_slice(stored);
            } else if !self.decompressor.as_mut().is_some_and(|(_, codec)| codec.decompress(stored, output)) {
                let slice = item.slices.iter().find(|slice| slice.start + slice.len > at);
                let blob = slice.map(|slice| hex::encode(store.digest(slice.blob))).unwrap_or_default();
                return Err(part.corrupt(format!("a chunk of blob {blob} does not decompress"), chunk.offset));
            }
            at += chunk.len as usize;
        }
        item.hash();
        Ok(())
    }
}

/// Makes `buffer` at least `len` bytes long. It is not cleared, because all of it is overwritten.
fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

/// Hands items to the sink and checks the digests.
struct Delivery<'a, 'b> {
    store: &'a WimStore,
    steps: &'a [Step],
    sink: &'a mut BlobSink<'b>,
    hasher: Sha1,
}

impl Delivery<'_, '_> {
    fn deliver(&mut self, item: &Item) -> Result<()> {
        for slice in &item.slices {
            let bytes = &item.output[slice.start..slice.start + slice.len];
            let step = &self.steps[slice.step];
            if step.deliver {
                (self.sink)(step.request, bytes)?;
            }
            if !step.check {
                continue;
            }
            let digest = if slice.is_first && slice.is_last {
                slice.digest
            } else {
                self.hasher.update(bytes);
                if !slice.is_last {
                    continue;
                }
                self.hasher.finalize_reset().into()
            };
            let blob = self.store.get(slice.blob)?;
            if digest != blob.digest {
                let resource = &self.store.resources[blob.resource as usize];
                let message =
                    format!("blob {} is damaged: its SHA-1 is {}", hex::encode(blob.digest), hex::encode(digest));
                return Err(self.store.parts[usize::from(resource.part)].corrupt(message, resource.offset.0));
            }
        }
        Ok(())
    }
}

/// What the threads share.
struct Queue<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    plan: Plan<'a>,
    /// Number of the next item to plan.
    sequence: u64,
    /// No more items follow: all are planned, or planning failed.
    ended: bool,
    stopped: bool,
    free: Vec<Item>,
    finished: BTreeMap<u64, Item>,
}

enum Next {
    /// The item that was asked for.
    Finished(Item),
    /// Another item, to be processed meanwhile.
    Claimed(Item),
    End,
}

impl<'a> Queue<'a> {
    fn new(plan: Plan<'a>, buffers: usize) -> Self {
        let free = std::iter::repeat_with(Item::default).take(buffers).collect();
        let state = State { plan, sequence: 0, ended: false, stopped: false, free, finished: BTreeMap::new() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, state: MutexGuard<'g, State<'a>>) -> MutexGuard<'g, State<'a>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Processes items until none is left.
    fn work(&self, store: &WimStore) {
        let _stop = StopOnPanic(self);
        let mut worker = Worker::default();
        loop {
            let mut state = self.lock();
            let mut item = loop {
                if state.stopped || state.ended {
                    self.changed.notify_all();
                    return;
                }
                match state.claim() {
                    Some(item) => break item,
                    None if state.ended => {}
                    None => state = self.wait(state),
                }
            };
            drop(state);
            worker.try_run(store, &mut item);
            self.finish(item);
        }
    }

    /// Item `sequence`, or something to do until it is finished.
    fn take(&self, sequence: u64) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.finished.remove(&sequence) {
                return Next::Finished(item);
            }
            if let Some(item) = state.claim() {
                return Next::Claimed(item);
            }
            if state.stopped || (state.ended && sequence >= state.sequence) {
                return Next::End;
            }
            state = self.wait(state);
        }
    }

    fn finish(&self, item: Item) {
        self.lock().finished.insert(item.sequence, item);
        self.changed.notify_all();
    }

    fn recycle(&self, item: Item) {
        self.lock().free.push(item);
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }
}

impl State<'_> {
    /// Plans the next item, if a buffer is free. If planning fails, that failure is the last item.
    fn claim(&mut self) -> Option<Item> {
        if self.ended {
            return None;
        }
        let mut item = self.free.pop()?;
        match self.plan.next(&mut item) {
            Ok(true) => {}
            Ok(false) => {
                self.ended = true;
                return None;
            }
            Err(error) => {
                item.clear();
                (item.failure, self.ended) = (Some(error), true);
            }
        }
        item.sequence = self.sequence;
        self.sequence += 1;
        Some(item)
    }
}

/// Makes the other threads end when the reading thread returns, for whatever reason.
struct StopOnDrop<'a, 'b>(&'a Queue<'b>);

impl Drop for StopOnDrop<'_, '_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Keeps the reading thread from waiting for a thread that panicked; the scope passes the panic on.
struct StopOnPanic<'a, 'b>(&'a Queue<'b>);

impl Drop for StopOnPanic<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}
