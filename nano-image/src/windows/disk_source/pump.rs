//! Runs work on a series of items on several threads, with results in order.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::content::BlobSink;
use crate::error::{Error, ErrorKind, Result};

/// How many pieces a thread may be ahead of the consumer. This bounds memory.
const AHEAD: usize = 4;

/// Makes the pieces of one item. Takes its number and a function for the pieces.
pub(super) type Work<'a> = dyn Fn(usize, &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> + Sync + 'a;

enum Message {
    Piece(Vec<u8>),
    /// The item is finished.
    End(Result<()>),
}

/// Runs `work` for the numbers below `count` on up to `jobs` threads, and hands the pieces to `sink` in order. Each
/// thread takes every `jobs`-th number.
///
/// # Errors
/// The first error, in the order of the numbers.
pub(super) fn pump(count: usize, jobs: usize, work: &Work<'_>, sink: &mut BlobSink<'_>) -> Result<()> {
    let jobs = jobs.clamp(1, count.max(1));
    if jobs == 1 {
        return (0..count).try_for_each(|index| work(index, &mut |piece| sink(index, piece)));
    }
    std::thread::scope(|scope| {
        let mut receivers: Vec<Receiver<Message>> = Vec::new();
        for first in 0..jobs {
            let (sender, receiver) = sync_channel(AHEAD);
            receivers.push(receiver);
            scope.spawn(move || run((first..count).step_by(jobs), work, &sender));
        }
        // The threads end when the receivers are gone.
        for index in 0..count {
            loop {
                match receivers[index % jobs].recv() {
                    Ok(Message::Piece(piece)) => sink(index, &piece)?,
                    Ok(Message::End(result)) => break result?,
                    // The thread has panicked, which is passed on later.
                    Err(_) => return Err(Error::new(ErrorKind::Io, "a thread that reads has ended")),
                }
            }
        }
        Ok(())
    })
}

fn run(numbers: impl Iterator<Item = usize>, work: &Work<'_>, sender: &SyncSender<Message>) {
    for number in numbers {
        let done = work(number, &mut |piece| {
            let gone = |_| Error::cancelled();
            sender.send(Message::Piece(piece.to_vec())).map_err(gone)
        });
        let failed = done.is_err();
        if sender.send(Message::End(done)).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_whatever_the_number_of_threads() {
        for jobs in [1, 2, 3, 7, 100] {
            let mut seen = Vec::new();
            let work = |index: usize, sink: &mut dyn FnMut(&[u8]) -> Result<()>| {
                (0..index % 9).try_for_each(|piece| sink(&[index as u8, piece as u8]))
            };
            pump(50, jobs, &work, &mut |index, piece| {
                seen.push((index, piece.to_vec()));
                Ok(())
            })
            .unwrap();
            let expected: Vec<(usize, Vec<u8>)> = (0..50usize)
                .flat_map(|index| (0..index % 9).map(move |piece| (index, vec![index as u8, piece as u8])))
                .collect();
            assert_eq!(seen, expected, "{jobs}");
        }
        pump(0, 4, &|_, _| Ok(()), &mut |_, _| Ok(())).unwrap();
    }

    #[test]
    fn the_first_error_in_order_is_told_and_an_error_of_the_sink_ends_all() {
        for jobs in [1, 2, 5] {
            let work = |index: usize, sink: &mut dyn FnMut(&[u8]) -> Result<()>| match index {
                7..=9 => Err(Error::corrupt(index.to_string())),
                _ => (0..20).try_for_each(|_| sink(&[0; 100])),
            };
            let error = pump(1000, jobs, &work, &mut |_, _| Ok(())).unwrap_err();
            assert_eq!(error.message(), "7");
            let stop = |index: usize, _: &[u8]| if index == 3 { Err(Error::cancelled()) } else { Ok(()) };
            let error = pump(1000, jobs, &work, &mut { stop }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled);
        }
    }
}
