//! Exports (§11.4). Source of the structures: Microsoft, "PE Format", the `.edata` section.

use super::program::Program;
use crate::error::Result;
use crate::source::delta::pe::format::{
    EXPORT_NAME, EXPORTS, FUNCTION_COUNT, FUNCTIONS, NAME_COUNT, NAME_ORDINALS, NAMES,
};

/// Maps the addresses of functions, names and tables.
pub(super) fn exports(program: &mut Program<'_>) -> Result<()> {
    let Some(directory) = program.pe.directory(EXPORTS).and_then(|(rva, _)| program.offset(rva)) else {
        return Ok(());
    };
    for (count, table) in [(FUNCTION_COUNT, FUNCTIONS), (NAME_COUNT, NAMES)] {
        let (Some(count), Some(table)) = (program.u32(directory + count), program.u32(directory + table)) else {
            continue;
        };
        let Some(start) = program.offset(table) else { continue };
        for at in (start..program.bytes.len()).step_by(4).take(count as usize) {
            program.map_owned_field(at);
        }
    }
    for field in [EXPORT_NAME, FUNCTIONS, NAMES, NAME_ORDINALS] {
        program.map_owned_field(directory + field);
    }
    Ok(())
}
