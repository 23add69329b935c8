//! What was typed.

use clap::{Parser, Subcommand};

use crate::image::args::Command as ImageCommand;
use crate::load::args::Load;

/// Keeps disk images, and loads them onto nodes' disks.
#[derive(Debug, Parser)]
#[command(name = "osload", version = program::VERSION, disable_version_flag = true, disable_help_flag = true, disable_help_subcommand = true, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) load: Load,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show this text
    #[arg(short = 'h', long, global = true, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Add, list, show, verify and remove disk images
    #[command(disable_help_subcommand = true)]
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Serve an image to the nodes that load it; osload starts this by itself
    Serve(crate::serve::Args),
}
