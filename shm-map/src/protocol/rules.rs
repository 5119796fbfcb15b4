//! Rules that a model leaves out, to show that it fails without them. Outside of models they all hold.

/// A rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A record that bears another key counts only if the slot still holds what it held.
    Mismatch,
    /// What was read counts only if the tail has not passed it.
    Whole,
    /// The tail comes before the bytes that it frees.
    TailFirst,
    /// The version of a number comes after the number.
    VersionLast,
}

cfg_if::cfg_if! {
    if #[cfg(all(test, loom))] {
        thread_local! {
            /// A model runs all its threads in one of the system's.
            static LEFT_OUT: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
        }

        impl Rule {
            pub(crate) fn is_left_out(self) -> bool {
                LEFT_OUT.get() == Some(self)
            }

            /// From now on, in this thread.
            pub(crate) fn leave_out(self) {
                LEFT_OUT.set(Some(self));
            }
        }
    } else {
        impl Rule {
            #[inline(always)]
            pub(crate) const fn is_left_out(self) -> bool {
                false
            }
        }
    }
}
