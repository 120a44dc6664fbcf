//! Texts and forms of the flags of `clone`.

/// A shard and the number of shards.
pub fn shard(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(one, all)| Some((one.parse().ok()?, all.parse().ok()?)));
    match numbers {
        Some((one, all)) if one < all => Ok((one, all)),
        _ => Err(format!("`{text}` is not a shard: write I/N, with I from 0 to N-1, e.g. 0/4")),
    }
}

pub const EXAMPLES: &str = "\
Examples:
  nano-image build --recipe web.toml -o golden.vhdx --metadata-file golden.json
  nano-image clone golden.vhdx --recipe golden.json --machines web.csv -o 'out/{name}.vhdx'
  nano-image clone golden.vhdx --recipe golden.json --machines web.toml -o 'out/{name}.qcow2' --shard 0/4

A list, web.csv:
  name,secret,ipv4-address
  web-0001,admin=file:secrets/web-0001,10.0.0.11/24
  web-0002,admin=file:secrets/web-0002,10.0.0.12/24

A file that is there is kept if it is what would be made, so a second run makes what is missing.";
