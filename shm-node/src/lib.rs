//! The Node binding: a thin shell over the backends.
//!
//! | module | what it is for |
//! |---|---|
//! | `functions` | what JavaScript calls |
//! | `values` | keys, segments and what is known of them, as JavaScript has them |
//! | `backends` | the backends that are built in, as one type |
//! | `attachments` | what this thread has attached, by key and by number |
//! | `inspect` | what stands in a segment, for the command line |
//! | `layout` | which bytes of a segment are its data |
//! | `map` | one map for all processes, for `lib/map` |
//! | `mappings` | how many mappings this process can still make |
//! | `table` | what the whole process has attached, for the handlers that end it |
//! | `sync` | coordination, for `lib/sync` |
//! | `waits` | waiting without blocking JavaScript |
//! | `alarms` | time, and being called when some of it is over |
//! | `deaths` | the deaths of owners, told through doors |
//! | `doors` | the ways from other threads, and from the event loop, into JavaScript |
//! | `loops` | the event loop, where it can wait for the ends of waits itself |
//! | `array_buffer` | memory as an `ArrayBuffer`, and when its addresses may go |
//! | `endings` | leaving everything when a thread or the process ends |
//! | `calls` | calls that a signal must not cut in two |
//! | `shrinks` | segments that were cut off under this process |
//! | `signals` | leaving everything when a signal ends the process |
//! | `failure` | errors, as JavaScript sees them |

cfg_if::cfg_if! {
    if #[cfg(any(all(unix, any(feature = "sysv", feature = "posix")), all(windows, feature = "windows")))] {
        mod alarms;
        mod array_buffer;
        mod attachments;
        mod backends;
        mod calls;
        mod deaths;
        mod doors;
        mod endings;
        mod failure;
        pub mod functions;
        mod inspect;
        mod layout;
        mod loops;
        mod map;
        #[cfg(unix)]
        mod mappings;
        pub mod shrinks;
        mod signals;
        pub mod sync;
        mod table;
        pub mod values;
        mod waits;
    } else {
        compile_error!(
            "shm-node needs a backend: build it with `--features sysv`, `--features posix`, or both (the default); on \
             Windows with `--features windows` (the default)"
        );
    }
}
