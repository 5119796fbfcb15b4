use super::*;

fn live() -> &'static Live {
    Live::own().unwrap()
}

#[test]
fn ids_are_never_used_twice() {
    let ids: Vec<_> = (0..3000).map(|_| live().new_owner().unwrap()).collect();
    let mut distinct = ids.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len());
    assert!(ids.iter().all(|&id| live().is_ours(id) && live().is_alive(id)));
}

#[test]
fn a_thread_keeps_its_id_and_shares_it_with_nobody() {
    let mine = live().this_thread().unwrap();
    assert_eq!(live().this_thread().unwrap(), mine);
    let theirs = std::thread::spawn(|| live().this_thread().unwrap()).join().unwrap();
    assert_ne!(mine, theirs);
    assert!(live().is_alive(theirs), "its process lives");
}

#[test]
fn a_retired_owner_is_dead_to_all() {
    let owner = live().new_owner().unwrap();
    assert!(live().space.may_live(owner), "as another process sees it");
    live().retire(owner);
    assert!(!live().space.may_live(owner));
    assert!(!live().is_alive(owner) && !live().is_ours(owner));
}

#[test]
fn an_id_that_nobody_drew_is_dead() {
    assert!(!live().is_alive(Owner::from_word(0)));
    assert!(!live().is_alive(Owner::from_word(Owner::MAX)));
}

#[test]
fn ids_that_somebody_has_without_drawing_them_are_skipped() {
    let mine = Space::open().unwrap();
    let next = mine.advance(1).unwrap() + 1;
    let access = Access::parse(EVENT_ACCESS).unwrap();
    let planted: Vec<_> = (next..next + 50).map(|id| make_event(id, &access).unwrap()).collect();
    let drawn: Vec<_> = (0..60).map(|_| mine.draw(1).unwrap()).collect();
    let is_planted = |id: &u32| id.wrapping_sub(next) < 50 && planted[(id - next) as usize].is_some();
    assert!(planted.iter().any(Option::is_some) && !drawn.iter().any(is_planted), "{drawn:?}");
}

#[test]
fn used_up_ids_are_an_error() {
    // A counter of its own: all others would be used up, too.
    let space = Space::with_counter(".shm-node-live-test", Owner::MAX).unwrap();
    assert_eq!(space.advance(1), Ok(Owner::MAX));
    assert_eq!(space.advance(1), Err(SyncError::NoIds));
}
