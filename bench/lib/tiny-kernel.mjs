/**
 * A kernel of a few bytes with a PVH entry: it says one line on COM1 and waits for interrupts that never come. An ELF file
 * with one segment at 1 MiB and the note that tells the entry (Xen's "PHYS32_ENTRY", type 18).
 */
const ENTRY = 0x10_0000;
// mov dx, 3f8h; mov al, '!'; out dx, al; mov al, 10; out dx, al; sti; hlt; jmp to the hlt
const CODE = [0x66, 0xba, 0xf8, 3, 0xb0, 0x21, 0xee, 0xb0, 10, 0xee, 0xfb, 0xf4, 0xeb, 0xfd];
const HEADER = 64;
const PROGRAM = 56;
const NOTE_AT = HEADER + 2 * PROGRAM;
const CODE_AT = 0x1000;

export function tinyKernel() {
  const file = new Uint8Array(CODE_AT + CODE.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setUint32(24, ENTRY, true);
  view.setUint32(32, HEADER, true);
  view.setUint16(52, HEADER, true);
  view.setUint16(54, PROGRAM, true);
  view.setUint16(56, 2, true);
  const note = [4, 4, 18].flatMap((word) => [word, 0, 0, 0]).concat([0x58, 0x65, 0x6e, 0], [0, 0, 0x10, 0]);
  file.set(note, NOTE_AT);
  const program = (index, type, at, address, length) => {
    const header = HEADER + index * PROGRAM;
    view.setUint32(header, type, true);
    view.setUint32(header + 4, 7, true);
    for (const [offset, value] of [
      [8, at],
      [16, address],
      [24, address],
      [32, length],
      [40, length],
    ])
      view.setUint32(header + offset, value, true);
  };
  program(0, 1, CODE_AT, ENTRY, CODE.length); // PT_LOAD
  program(1, 4, NOTE_AT, 0, note.length); // PT_NOTE
  file.set(CODE, CODE_AT);
  return file;
}
