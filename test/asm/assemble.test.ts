import { describe, expect, test } from 'vitest';
import { assemble, type Bits } from './assemble.js';

function hex(bits: Bits, source: string, origin = 0): string {
  return [...assemble(bits, origin, source).bytes].map((b) => b.toString(16).padStart(2, '0')).join(' ');
}

describe('the test assembler', () => {
  test.each<[Bits, string, string]>([
    [64, 'mov eax, 1', 'b8 01 00 00 00'],
    [64, 'mov rax, 0x123456789abcdef0', '48 b8 f0 de bc 9a 78 56 34 12'],
    [64, 'mov rax, -1', '48 c7 c0 ff ff ff ff'],
    [64, 'mov [rbx+rcx*4+8], eax', '89 44 8b 08'],
    [64, 'mov qword [0x1000], 5', '48 c7 04 25 00 10 00 00 05 00 00 00'],
    [64, 'mov rax, [fs:0]', '64 48 8b 04 25 00 00 00 00'],
    [64, 'push 5', '6a 05'],
    [64, 'add rax, 5', '48 83 c0 05'],
    [64, 'iretq', '48 cf'],
    [64, 'rep movsb', 'f3 a4'],
    [64, 'mov cr3, rax', '0f 22 d8'],
    [64, 'lock inc dword [rax]', 'f0 ff 00'],
    [64, 'jmp far qword [rax]', '48 ff 28'],
    [64, 'wrmsr', '0f 30'],
    [64, 'enter 16, 1', 'c8 10 00 01'],
    [32, 'mov eax, [0x1234]', 'a1 34 12 00 00'],
    [32, 'jmp 8:0x12345678', 'ea 78 56 34 12 08 00'],
    [32, 'push ds', '1e'],
    [32, 'retfw', '66 cb'],
    [32, 'lgdt [0x500]', '0f 01 15 00 05 00 00'],
    [16, 'mov ax, [bx+si+4]', '8b 40 04'],
    [16, 'mov eax, cr0', '0f 20 c0'],
    [16, 'jmp dword 8:0x10000', '66 ea 00 00 01 00 08 00'],
    [16, 'mov [es:di], al', '26 88 05'],
    [16, 'o32: db 0x66, 0x90', '66 90'],
  ])('encodes %i-bit "%s"', (bits, source, expected) => {
    expect(hex(bits, source)).toBe(expected);
  });

  test('picks short branches where they reach, and long ones where they do not', () => {
    expect(hex(64, 'a: jmp a')).toBe('eb fe');
    expect(assemble(64, 0x1000, 'jmp far_away\n zero 200\n far_away: hlt').bytes.slice(0, 5)).toEqual(
      new Uint8Array([0xe9, 200, 0, 0, 0]),
    );
  });

  test('knows labels before and behind, symbols and RIP-relative operands', () => {
    const program = assemble(64, 0x10000, 'lea rax, [rel data]\n mov ecx, limit+2*3\n data: dq data', { limit: 10 });
    expect(program.at('data')).toBe(0x1000c);
    expect([...program.bytes]).toEqual([0x48, 0x8d, 0x05, 5, 0, 0, 0, 0xb9, 16, 0, 0, 0, 0x0c, 0, 1, 0, 0, 0, 0, 0]);
  });

  test('switches the code size in the middle of a program', () => {
    expect(hex(16, 'mov ax, 1\n bits 32\n mov ax, 1')).toBe('b8 01 00 66 b8 01 00');
  });

  test('names the line that has no encoding', () => {
    expect(() => hex(64, 'mov al, rbx')).toThrow('cannot encode in 64-bit code: mov al, rbx');
    expect(() => hex(64, 'jmp nowhere')).toThrow('unknown symbol: nowhere');
    expect(() => hex(64, 'frobnicate')).toThrow('unknown mnemonic: frobnicate');
  });
});
