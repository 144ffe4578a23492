//! Closed sets of words: an enum whose variants have one label each.

/// Writes such an enum, with `ALL` in the order of its counters and `label`.
///
/// ```
/// events::labelled! {
///     /// Why it was turned away.
///     Refused {
///         /// It is too long.
///         Long "long",
///     }
/// }
/// assert_eq!(Refused::ALL[0].label(), "long");
/// ```
#[macro_export]
macro_rules! labelled {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// Every one, in the order of the counters.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// Its name in metrics and logs.
            pub fn label(self) -> &'static str {
                match self { $($name::$variant => $label),+ }
            }
        }
    };
}
