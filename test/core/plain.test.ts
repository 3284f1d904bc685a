import { expect, test } from 'vitest';
import { isPlain } from '../../src/engine/soft/plain.js';
import { assemble } from '../asm/assemble.js';

const plain = (source: string) => {
  const code = new Uint8Array(16).fill(0x90);
  code.set(assemble(64, 0x1000, source, {}).bytes);
  return isPlain(code, true);
};

test.each([
  'add rax, rbx',
  'xor r9d, 5',
  'lea rdx, [rsi+rcx*4]',
  'shl ecx, 3',
  'inc r12',
  'jnz 0x1010',
  'movzx eax, byte [rcx]',
  'movd xmm5, [rsi+rax*4]',
  'pshufb xmm0, xmm1',
  'movups [rdi], xmm3',
  'paddd xmm0, xmm1',
  'vpaddb ymm0, ymm1, [rax]',
  'popcnt rax, rbx',
  'cmove eax, ecx',
  'setc al',
])('%s only computes', (source) => expect(plain(source)).toBe(true));

test.each([
  'mov eax, [rbx]',
  'mov [rbx], al',
  'add [rbx], eax',
  'lock add [rbx], eax',
  'in al, 0x60',
  'out dx, eax',
  'rep movsb',
  'rdtsc',
  'rdmsr',
  'wrmsr',
  'cpuid',
  'hlt',
  'sti',
  'popfq',
  'call rax',
  'jmp [rax]',
  'push rax',
  'int3',
  'iretq',
  'syscall',
  'mov cr3, rax',
  'mov ss, ax',
  'clts',
  'invlpg [rax]',
  'invpcid rax, [rbx]',
  'lidt [rax]',
  'xsetbv',
  'cmpxchg16b [rdi]',
  'fxrstor [rax]',
])('%s does more than that', (source) => expect(plain(source)).toBe(false));
