/** AES-NI, PCLMULQDQ and the SHA extensions: the work is done in core/crypto.ts. */
import type { Emitter } from '../emit/emitter.js';
import type { Operand } from '../emit/operands.js';
import * as L from '../layout.js';
import { InstructionList } from './define.js';
import { begin, FEATURE, immediate, readVector, viaCore, writeVector, xmm0 } from './vector.js';

export const crypto = new InstructionList();
const op = crypto.op.bind(crypto);

/** dst = core's name(dst, src, immediate if there is one). */
function inCore(name: string) {
  return (e: Emitter, dst: Operand, src: Operand, imm?: Operand): void => {
    begin(e, dst);
    const b = readVector(e, src);
    const a = readVector(e, dst);
    const args = imm ? [immediate(e, imm)] : [];
    writeVector(e, dst, viaCore(e, name, a, b, ...args));
  };
}

for (const [name, pattern] of [
  ['aesimc', '66 0F 38 DB /r'],
  ['aesenc', '66 0F 38 DC /r'],
  ['aesenclast', '66 0F 38 DD /r'],
  ['aesdec', '66 0F 38 DE /r'],
  ['aesdeclast', '66 0F 38 DF /r'],
] as const)
  op(name, [[pattern, 'Vx,Wx']], FEATURE('aes'), inCore(name));
op('aeskeygenassist', [['66 0F 3A DF /r', 'Vx,Wx,Ib']], FEATURE('aes'), inCore('aeskeygenassist'));
op('pclmulqdq', [['66 0F 3A 44 /r', 'Vx,Wx,Ib']], FEATURE('pclmulqdq'), inCore('pclmulqdq'));

for (const [name, opcode] of [
  ['sha1nexte', 'C8'],
  ['sha1msg1', 'C9'],
  ['sha1msg2', 'CA'],
  ['sha256msg1', 'CC'],
  ['sha256msg2', 'CD'],
] as const)
  op(name, [[`NP 0F 38 ${opcode} /r`, 'Vx,Wx']], FEATURE('sha'), inCore(name));
op('sha1rnds4', [['NP 0F 3A CC /r', 'Vx,Wx,Ib']], FEATURE('sha'), inCore('sha1rnds4'));
// XMM0 holds two words of message and constant: the third operand.
op('sha256rnds2', [['NP 0F 38 CB /r', 'Vx,Wx']], FEATURE('sha'), (e, dst, src) => {
  begin(e, dst);
  const b = readVector(e, src);
  const a = readVector(e, dst);
  e.setState(L.VECTOR_OUT, xmm0(e));
  writeVector(e, dst, viaCore(e, 'sha256rnds2', a, b));
});
