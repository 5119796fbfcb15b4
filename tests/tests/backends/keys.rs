//! Keys that nobody sane would choose.

use shm_api::{AttachError, Backend, CreateError, CreateOptions, DestroyError, InvalidKey, Key, Mode};
use shm_posix::Posix;
use shm_sysv::SysV;
use shm_tests::fresh_name;
use std::num::NonZeroUsize;

fn options() -> CreateOptions {
    CreateOptions::new(NonZeroUsize::MIN)
}

#[test]
fn names_cannot_leave_the_folder_and_our_own_are_reserved() {
    for name in ["", "/", ".", "..", "/..", "../etc/passwd", "a/b", "a/../b", "//a", "a\0b", &"n".repeat(256)]
    {
        assert!(Key::name(name).is_err(), "{name:?}");
    }
    for name in [".shm-node-0", "/.shm-node-65534", ".shm-node-"] {
        let key = Key::name(name).unwrap();
        let reserved = InvalidKey::Reserved { key: key.clone() };
        let posix = Posix::new();
        assert_eq!(posix.create(&key, &options()).unwrap_err(), CreateError::InvalidKey(reserved.clone()));
        assert_eq!(posix.attach(&key).unwrap_err(), AttachError::InvalidKey(reserved.clone()));
        assert_eq!(posix.info(&key).unwrap_err(), AttachError::InvalidKey(reserved.clone()));
        assert_eq!(posix.destroy(&key).unwrap_err(), DestroyError::InvalidKey(reserved));
    }
}

#[test]
fn a_name_is_not_a_key_of_system_v() {
    let key = Key::name(&fresh_name()).unwrap();
    let wrong = InvalidKey::NotAnInteger { backend: "sysv", key: key.clone() };
    assert_eq!(SysV::new().create(&key, &options()).unwrap_err(), CreateError::InvalidKey(wrong.clone()));
    assert_eq!(SysV::new().attach(&key).unwrap_err(), AttachError::InvalidKey(wrong.clone()));
    assert_eq!(SysV::new().info(&key).unwrap_err(), AttachError::InvalidKey(wrong.clone()));
    assert_eq!(SysV::new().destroy(&key).unwrap_err(), DestroyError::InvalidKey(wrong));
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_of_255_bytes_and_of_any_letters_is_a_name() {
    let longest = format!("{:x<255}", format!("shm-test-{}-", std::process::id()));
    for name in [longest.as_str(), &format!("shm-test-{}-…ünï \n-*$(x)", std::process::id())] {
        let key = Key::name(name).unwrap();
        let segment = Posix::new().create(&key, &options()).unwrap();
        assert_eq!(Posix::new().info(&key).unwrap().key, key);
        drop(Posix::new().attach(&key).unwrap());
        drop(segment);
        assert!(Posix::new().attach(&key).is_err());
    }
}

#[test]
fn a_mode_that_keeps_its_owner_out_is_refused() {
    let key = Key::name(&fresh_name()).unwrap();
    let mode = Mode::new(0o266).unwrap();
    let error = Posix::new().create(&key, &options().mode(mode)).unwrap_err();
    assert_eq!(error, CreateError::Unreadable { key: key.clone(), mode });
    assert!(Posix::new().info(&key).is_err());
}

#[test]
#[cfg(target_os = "macos")]
fn a_name_is_as_long_as_the_system_takes() {
    let longest = format!("{:x<30}", format!("shm-test-{}-", std::process::id()));
    let key = Key::name(&longest).unwrap();
    let segment = Posix::new().create(&key, &options()).unwrap();
    drop(Posix::new().attach(&key).unwrap());
    drop(segment);
    let longer = Key::name(&format!("{longest}x")).unwrap();
    let refused = InvalidKey::TooLong { key: longer.clone(), most: 31 };
    assert_eq!(Posix::new().create(&longer, &options()).unwrap_err(), CreateError::InvalidKey(refused));
}
