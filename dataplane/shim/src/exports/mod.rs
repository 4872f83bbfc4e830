//! The names that stand in front of libc's.

pub mod descriptors;
pub mod raw;
pub mod readiness;
pub mod spawning;
pub mod transfer;

/// Functions with C's calling convention under their own names. Arguments that C declares with `...` are declared as the
/// word that the x86-64 convention passes them in.
#[macro_export]
macro_rules! exports {
    ($($(#[$note:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) -> $answer:ty $body:block)*) => {
        $(
            $(#[$note])*
            ///
            /// # Safety
            /// As the manual page says.
            #[cfg_attr(feature = "freestanding", no_mangle)]
            #[allow(non_snake_case)]
            pub unsafe extern "C" fn $name($($argument: $kind),*) -> $answer {
                // SAFETY: the program keeps to the manual page, or faults as it would without us.
                unsafe { $body }
            }
        )*
    };
}
