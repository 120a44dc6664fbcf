//! Commands that print something about the program itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Print the completions for a shell
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  nano-image completions bash > ~/.local/share/bash-completion/completions/nano-image
  nano-image completions zsh > ~/.zfunc/_nano-image
  nano-image completions fish > ~/.config/fish/completions/nano-image.fish
  nano-image completions powershell >> $PROFILE")]
pub struct Completions {
    /// Which shell
    pub shell: Shell,
}

/// Print the manual page, or write the pages of all commands into a folder
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  nano-image man | man -l -
  nano-image man -C ~/.local/share/man/man1")]
pub struct Man {
    /// Folder for the pages nano-image.1, nano-image-build.1 …
    #[arg(short = 'C', long, value_name = "FOLDER")]
    pub directory: Option<PathBuf>,

    /// Replace existing pages
    #[arg(long, requires = "directory")]
    pub force: bool,
}

/// Print the JSON Schema of recipe files, for editors
#[derive(Args, Debug)]
#[command(after_long_help = "\
Example:
  nano-image schema > recipe.schema.json

Editors that know Taplo find it by the first line of a recipe: #:schema recipe.schema.json")]
pub struct Schema {}
