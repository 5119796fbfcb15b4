//! Tasks of tokio that wait in a segment.

use shm_segments::{
    Barrier, Broadcast, BroadcastOptions, Channel, ChannelOptions, Error, Mutex, Producers, RwLock, Segment,
    Semaphore, api::AttachError,
};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

const OPTIONS: ChannelOptions = ChannelOptions { capacity: 64, producers: Producers::Many };

fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_exclude_each_other_and_threads() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let count = Arc::new(Mutex::<u64>::open(&segment, 0).unwrap());
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let count = count.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let mut guard = count.lock_async().await.unwrap();
                    let seen = *guard;
                    tokio::task::yield_now().await;
                    *guard = seen + 1;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*count.lock().unwrap(), 400);
}

#[tokio::test]
async fn a_task_waits_for_another_task_on_the_same_thread() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let (mutex, lock) =
        (Mutex::<u32>::open(&segment, 0).unwrap(), RwLock::<u32>::open(&segment, 64, 2).unwrap());
    let permits = Semaphore::open(&segment, 256, 1).unwrap();
    let (guard, writer, permit) = (
        mutex.lock_async().await.unwrap(),
        lock.write_async().await.unwrap(),
        permits.acquire_async().await.unwrap(),
    );
    let waits = async {
        *mutex.lock_async().await.unwrap() += 1;
        drop(lock.read_async().await.unwrap());
        *lock.write_async().await.unwrap() += 1;
        drop(permits.acquire_async().await.unwrap());
    };
    let ends = async {
        tokio::task::yield_now().await;
        drop((guard, writer, permit));
    };
    tokio::join!(waits, ends);
    assert_eq!((*mutex.lock().unwrap(), *lock.read().unwrap()), (1, 1));
}

#[tokio::test]
async fn a_task_is_told_of_a_death_too() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let mutex = Mutex::<u32>::open(&segment, 0).unwrap();
    let panics = std::panic::AssertUnwindSafe(|| {
        let _guard = mutex.lock().unwrap();
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(mutex.lock_async().await.unwrap_err(), Error::OwnerDied { what: "mutex" });
}

#[tokio::test]
async fn a_dropped_lock_future_leaves_the_queue_and_the_others_go_on() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let mutex = Mutex::<u32>::open(&segment, 0).unwrap();
    let guard = mutex.lock().unwrap();
    let mut gives_up = Box::pin(mutex.lock_async());
    let mut stays = pin!(mutex.lock_async());
    assert!(is_pending(&mut gives_up) && is_pending(&mut stays));
    drop(guard); // the one that was first in the queue is woken
    drop(gives_up);
    *stays.await.unwrap() += 1;
    assert!(mutex.try_lock().unwrap().is_some());
}

#[tokio::test]
async fn if_a_receive_future_is_dropped_the_message_stays() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let channel = Channel::open(&segment, 0, &OPTIONS).unwrap();
    let (mut sender, mut receiver) = (channel.sender().unwrap(), channel.receiver().unwrap());
    let mut receive = Box::pin(receiver.receive_async());
    assert!(is_pending(&mut receive));
    sender.send_async(b"one").await.unwrap();
    drop(receive);
    assert_eq!(receiver.receive_async().await.unwrap(), b"one");
    for _ in 0..4 {
        assert!(sender.try_send(&[7; 8]).unwrap());
    }
    let mut send = Box::pin(sender.send_async(&[8; 8]));
    assert!(is_pending(&mut send), "the ring is full");
    drop(send);
    for _ in 0..4 {
        assert_eq!(receiver.receive().unwrap(), [7; 8]);
    }
    assert_eq!(receiver.try_receive().unwrap(), None, "the dropped one sent nothing");
    let (sent, received) = tokio::join!(sender.send_async(b"two"), receiver.receive_async());
    assert_eq!((sent, received), (Ok(()), Ok(b"two".to_vec())));
}

#[tokio::test]
async fn parties_meet_and_readers_read() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let barrier = Barrier::open(&segment, 0, 2).unwrap();
    let (mut one, mut two) = (barrier.join().unwrap(), barrier.join().unwrap());
    let (first, last) = tokio::join!(one.wait_async(), two.wait_async());
    assert_eq!((first, last), (Ok(false), Ok(true)));
    let options = BroadcastOptions { slots: 2, max_message: 8 };
    let broadcast = Broadcast::open(&segment, 64, &options).unwrap();
    let (mut producer, mut reader) = (broadcast.producer().unwrap(), broadcast.reader().unwrap());
    let tells = async { producer.send(b"news").unwrap() };
    let (received, number) = tokio::join!(reader.receive_async(), tells);
    let (received, message) = received.unwrap();
    assert_eq!((received.number, &message[..]), (number, &b"news"[..]));
}

#[tokio::test]
async fn a_segment_goes_with_its_last_owner_even_if_a_task_waited_in_it() {
    let segment = Segment::create_anywhere(4096).unwrap();
    let key = segment.key().clone();
    let channel = Channel::open(&segment, 0, &OPTIONS).unwrap();
    let mut receiver = channel.receiver().unwrap();
    assert!(is_pending(&mut Box::pin(receiver.receive_async())));
    drop((segment, channel, receiver));
    let found = Segment::attach(key);
    assert!(matches!(found, Err(Error::Attach(AttachError::NotFound { .. }))), "{found:?}");
}

#[test]
fn the_futures_can_go_to_any_thread() {
    fn check<T: Send>(future: T) -> T {
        future
    }
    let segment = Segment::create_anywhere(8192).unwrap();
    let mutex = Mutex::<u32>::open(&segment, 0).unwrap();
    let mut receiver = Channel::open(&segment, 64, &OPTIONS).unwrap().receiver().unwrap();
    drop(check(mutex.lock_async()));
    drop(check(receiver.receive_async()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(pin!(mutex.lock_async()).poll(&mut context), Poll::Ready(Ok(_))));
}
