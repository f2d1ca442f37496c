//! Enumerations whose values are words of the language.

/// The words of an enumeration, as plans spell them: `ALL`, `word` and `of`.
macro_rules! words {
    ($type:ident { $($word:literal => $variant:ident,)* }) => {
        impl $type {
            /// Every value.
            pub const ALL: &[$type] = &[$($type::$variant,)*];

            /// The word for it in a plan.
            pub fn word(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)*
                }
            }

            /// The value of a word.
            pub fn of(word: &str) -> Option<$type> {
                $type::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}
