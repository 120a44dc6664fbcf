//! Text that must not be shown.

use std::fmt;

use zeroize::Zeroizing;

/// A password. It has no `Display` and is not serialised; `Debug` hides it. Its memory is overwritten when it is
/// dropped.
///
/// ```
/// # fn main() -> nano_image::Result<()> {
/// use nano_image::{Recipe, Secret};
///
/// let recipe = Recipe::image("1").administrator_password(Secret::new("Hunter2!")).build()?;
/// assert!(!format!("{recipe:?}").contains("Hunter2!"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// A secret with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {secret:#?} {:?}", Some(&secret)).matches("hunter2").count(), 0);
        assert_eq!(secret.expose(), "hunter2");
    }
}
