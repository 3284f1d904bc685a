/** String instructions and port I/O: all in core (strings.ts, io.ts). */
import { sizeOf } from '../emit/operands.js';
import { InstructionList } from './define.js';

export const strings = new InstructionList();
const op = strings.op.bind(strings);

for (const [name, opcode] of [
  ['movs', 0xa4],
  ['cmps', 0xa6],
  ['stos', 0xaa],
  ['lods', 0xac],
  ['scas', 0xae],
] as const) {
  // The element's size reaches core in the scale field: byte or operand size.
  op(name, stringEncodings(opcode), { rep: true }, (e) => e.core(`op_${name}`));
}
for (const [name, opcode] of [
  ['ins', 0x6c],
  ['outs', 0x6e],
] as const) {
  op(name, stringEncodings(opcode), { rep: true }, (e) => e.core(`op_${name}`));
}

function stringEncodings(opcode: number): [string, string][] {
  const hex = (n: number) => n.toString(16).toUpperCase();
  return [
    [hex(opcode), ''],
    [hex(opcode + 1), ''],
  ];
}

for (const [name, byImmediate, byDx] of [
  ['in', 0xe4, 0xec],
  ['out', 0xe6, 0xee],
] as const) {
  const hex = (n: number) => n.toString(16).toUpperCase();
  const operands = (accumulator: string, port: string) =>
    name === 'in' ? `${accumulator},${port}` : `${port},${accumulator}`;
  for (const [opcode, port, fromDx] of [
    [byImmediate, 'Ib', 0],
    [byDx, 'DX', 1],
  ] as const) {
    op(
      name,
      [
        [hex(opcode), operands('AL', port)],
        // 32 bits at most, with REX.W too.
        [hex(opcode + 1), operands('rAX', port)],
      ],
      { ends: true },
      (e, a, b) => {
        const size = sizeOf(name === 'in' ? a : b);
        e.core(`op_${name}`, Math.min(size, 4), fromDx);
      },
    );
  }
}
