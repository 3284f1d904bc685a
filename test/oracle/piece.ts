// Makes pieces of sequences, and asks iced-x86 what an instruction reads and writes.

import { Decoder, DecoderOptions, InstructionInfoFactory, Mnemonic, OpAccess, RegisterExt } from 'iced-x86';
import type { Bits } from './native-frame.js';
import { type Fixup, fromIced, type Piece } from './sequence.js';

const RSP = 4;

export interface Known {
  readonly piece: Piece;
  /** General registers that it writes, by number; RSP only where it is not pushed or popped. */
  readonly writes: ReadonlySet<number>;
}

export type Links = Pick<Piece, 'to' | 'jump' | 'longer'>;

export class PieceMaker {
  readonly #bits: Bits;
  readonly #factory = new InstructionInfoFactory();

  constructor(bits: Bits) {
    this.#bits = bits;
  }

  /** @returns undefined where the bytes are not one instruction */
  make(
    name: string,
    bytes: readonly number[],
    group: number,
    fixups: readonly Fixup[] = [],
    links: Links = {},
  ): Known | undefined {
    const decoder = new Decoder(this.#bits, Uint8Array.from(bytes), DecoderOptions.None);
    const instruction = decoder.decode();
    const whole = !instruction.isInvalid && instruction.length === bytes.length;
    const spoils = fromIced(instruction.rflagsUndefined);
    const written = instruction.rflagsWritten | instruction.rflagsCleared | instruction.rflagsSet;
    const piece: Piece = {
      name,
      group,
      bytes,
      fixups,
      ...links,
      reads: fromIced(instruction.rflagsRead),
      defines: fromIced(written) & ~spoils,
      spoils,
    };
    const writes = new Set<number>();
    const info = this.#factory.info(instruction);
    for (const used of info.usedRegisters()) {
      const register = RegisterExt.fullRegister(used.register);
      const writing =
        used.access !== OpAccess.Read && used.access !== OpAccess.CondRead && used.access !== OpAccess.None;
      if (writing && RegisterExt.isGPR(register)) writes.add(RegisterExt.number(register));
      used.free();
    }
    info.free();
    // POP RSP and the like set it to anything; pushing and popping else only moves it.
    const first = instruction.opCount > 0 ? RegisterExt.fullRegister(instruction.op0Register) : 0;
    const explicit = first !== 0 && RegisterExt.isGPR(first) && RegisterExt.number(first) === RSP;
    if (instruction.isStackInstruction && !(explicit && instruction.mnemonic === Mnemonic.Pop)) writes.delete(RSP);
    instruction.free();
    decoder.free();
    return whole ? { piece, writes } : undefined;
  }

  /** A piece that is known to be right. */
  sure(name: string, bytes: readonly number[], group: number, fixups: readonly Fixup[] = [], links: Links = {}): Piece {
    const made = this.make(name, bytes, group, fixups, links);
    if (!made) throw new Error(`${name} ${bytes.map((b) => b.toString(16)).join(' ')} is no instruction`);
    return made.piece;
  }
}

const NOTHING = { bytes: [], fixups: [], reads: 0, defines: 0, spoils: 0 };

export const labelPiece = (label: string, group: number): Piece => ({ ...NOTHING, name: 'label', label, group });
export const endPiece = (group: number): Piece => ({ ...NOTHING, name: 'end', end: true, group });
