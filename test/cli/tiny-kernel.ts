/** The smallest kernel: an ELF file of a few bytes of 32-bit code, entered through its PVH note in flat protected mode. */

const HEADER = 52;
const PROGRAM_HEADER = 32;
const PT_LOAD = 1;
const PT_NOTE = 4;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const NOTE_SIZE = 20;

/** An ELF32 executable whose code is loaded at `gpa` and entered there. */
export function tinyKernel(code: readonly number[], gpa = 0x10_0000): Uint8Array {
  const noteAt = HEADER + 2 * PROGRAM_HEADER;
  const codeAt = noteAt + NOTE_SIZE;
  const file = new Uint8Array(codeAt + code.length);
  const view = new DataView(file.buffer);
  const u16 = (at: number, ...values: number[]) => {
    for (const [i, value] of values.entries()) view.setUint16(at + 2 * i, value, true);
  };
  const u32 = (at: number, ...values: number[]) => {
    for (const [i, value] of values.entries()) view.setUint32(at + 4 * i, value, true);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  // e_type EXEC, e_machine 386, version, entry, phoff, shoff, flags.
  u16(16, 2, 3);
  u32(20, 1, gpa, HEADER, 0, 0);
  u16(40, HEADER, PROGRAM_HEADER, 2, 40, 0, 0);
  u32(HEADER, PT_LOAD, codeAt, gpa, gpa, code.length, code.length, 7, 1);
  u32(HEADER + PROGRAM_HEADER, PT_NOTE, noteAt, 0, 0, NOTE_SIZE, NOTE_SIZE, 4, 4);
  u32(noteAt, 4, 4, XEN_ELFNOTE_PHYS32_ENTRY);
  file.set([0x58, 0x65, 0x6e, 0], noteAt + 12);
  u32(noteAt + 16, gpa);
  file.set(code, codeAt);
  return file;
}

/** Code that writes a text to COM1, byte by byte. */
export function print(text: string): number[] {
  return [0x66, 0xba, 0xf8, 0x03, ...[...text].flatMap((char) => [0xb0, char.charCodeAt(0), 0xee])];
}

/** Code that writes a byte to a port. */
export function out(port: number, value: number): number[] {
  return [0x66, 0xba, port & 0xff, port >> 8, 0xb0, value, 0xee];
}
