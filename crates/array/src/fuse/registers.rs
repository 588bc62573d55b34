//! Registers of a tape, used again after their last reader.

use crate::kernels::tiles::{Arg, Instruction};

/// Renumbers registers so that one is used again after its last reader. An instruction never fills
/// a register that it reads.
pub(super) fn allocate(instructions: &mut [Instruction]) -> usize {
    let mut last_use = vec![0; instructions.len()];
    for (i, instruction) in instructions.iter().enumerate() {
        for arg in &instruction.args {
            if let Arg::Register(register) = arg {
                last_use[*register] = i;
            }
        }
    }
    let mut free: Vec<usize> = Vec::new();
    let mut count = 0;
    let mut physical = vec![0; instructions.len()];
    for (i, instruction) in instructions.iter_mut().enumerate() {
        let register = free.pop().unwrap_or_else(|| {
            count += 1;
            count - 1
        });
        physical[i] = register;
        instruction.register = register;
        let mut freed = Vec::new();
        for arg in &mut instruction.args {
            if let Arg::Register(virtual_register) = arg {
                let of = *virtual_register;
                *arg = Arg::Register(physical[of]);
                if last_use[of] == i && !freed.contains(&physical[of]) {
                    freed.push(physical[of]);
                }
            }
        }
        free.extend(freed);
    }
    count
}
