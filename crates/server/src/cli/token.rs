//! `milepost token`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use milepost_model::Span;

use super::Failure;
use crate::config::{self, Flags};
use crate::engine::system_clock;
use crate::guard::{Scope, TokenError, Tokens, tokens_file};

/// Make, list and revoke tokens. A server that is running notices within a second.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token and print it. It is shown this once: only its hash is kept.
///
/// To replace a token, create one of another name, hand it out, and revoke the old one: both are good meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  milepost token create --data milepost-data --name ci --scope write --source '/ci/*' --expires 90d
  milepost token create --data milepost-data --name prometheus --scope read")]
pub(super) struct CreateArgs {
    /// What to call it.
    #[arg(long)]
    name: String,
    /// What it is good for; can be given more than once.
    #[arg(long = "scope", value_enum, required = true)]
    scopes: Vec<Scope>,
    /// A source whose events it may write, `*` for any text; can be given more than once [default: all].
    #[arg(long = "source", value_name = "PATTERN")]
    sources: Vec<String>,
    /// How long it is good, such as 90d [default: until it is revoked].
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    #[command(flatten)]
    place: FileArgs,
}

/// List tokens: names, scopes, sources and when they expire.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    place: FileArgs,
}

/// Revoke a token.
#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// What it is called.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    place: FileArgs,
}

/// Where the tokens are.
#[derive(Debug, Args)]
struct FileArgs {
    /// The data directory [default: milepost-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration, which may keep the tokens elsewhere [default: none].
    #[arg(long, value_name = "FILE", env = "MILEPOST_CONFIG")]
    config: Option<PathBuf>,
}

impl FileArgs {
    fn file(&self) -> Result<PathBuf, Failure> {
        let flags = Flags { data: self.data.clone(), ..Flags::default() };
        let settings = config::load(self.config.as_deref(), flags).map_err(Failure::usage)?;
        Ok(tokens_file(&settings))
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Taken(_) | TokenError::Unknown(_) | TokenError::BadName => Self::usage(error),
            _ => Self::new(error),
        }
    }
}

impl TokenCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Create(args) => args.run()?,
            Self::List(args) => args.run()?,
            Self::Revoke(args) => {
                Tokens::revoke(&args.place.file()?, &args.name)?;
                eprintln!("revoked {}", args.name);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl CreateArgs {
    fn run(self) -> Result<(), Failure> {
        if !self.sources.is_empty() && !self.scopes.contains(&Scope::Write) {
            return Err(Failure::usage("--source: limits what is written, which needs --scope write"));
        }
        let now = system_clock();
        let expires = self.expires.map(|span| now + span);
        let file = self.place.file()?;
        let secret = Tokens::create(&file, &self.name, self.scopes, self.sources, (now, expires))?;
        eprintln!("{} keeps the hash of {}; this is shown once:", file.display(), self.name);
        Ok(super::asking::print(&format!("{}\n", secret.text()))?)
    }
}

impl ListArgs {
    fn run(&self) -> Result<(), Failure> {
        let tokens = Tokens::read(&self.place.file()?)?;
        let now = system_clock();
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["name", "scopes", "sources", "created", "expires"]);
        for token in tokens.all() {
            let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
            let sources = if token.sources.is_empty() { "all".to_owned() } else { token.sources.join(", ") };
            let expires = match token.expires {
                None => "never".to_owned(),
                Some(at) if token.has_expired(now) => format!("{at} (expired)"),
                Some(at) => at.to_string(),
            };
            table.add_row([
                token.name.clone(),
                scopes.join(", "),
                sources,
                token.created.to_string(),
                expires,
            ]);
        }
        let text =
            if tokens.all().is_empty() { "there is no token\n".to_owned() } else { format!("{table}\n") };
        Ok(super::asking::print(&text)?)
    }
}
