//! What every test stands on: the runner, the box, those who judge, and the world outside.

pub mod answers;
pub mod boxes;
pub mod command;
pub mod fault;
pub mod frames;
pub mod fw4;
pub mod image;
pub mod inject;
pub mod meeting;
pub mod oracle;
pub mod outside;
pub mod peers;
pub mod runner;
pub mod sample;
pub mod snapshot;
pub mod sys;
pub mod typist;

pub use command::{
    Background, Output, any, cell, containers, must, netcell, netcell_command, netcell_with, step,
    wait_until, wait_within,
};
pub use oracle::{
    address_in, address6_in, elements, entries, in_netns, ip_json, ip_json_in, links, nft_json,
    no_port_is_published, pin, processes_with,
};
pub use outside::{
    Outside, answered, ask, ask_udp, get, serve_all_in, serve_in, serve_udp_in, wait_for_port,
};
pub use typist::Typist;
