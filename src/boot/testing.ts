/** Kernels for tests: ELF files and bzImages made to order, and a machine's memory and vCPU that only remember. */

import type { Vcpu, VcpuState } from '../engine/contract.js';
import { HDRS, SetupHeader } from './bzimage.js';

export interface TestSegment {
  readonly paddr: number;
  readonly vaddr?: bigint;
  readonly bytes: Uint8Array;
  readonly memorySize?: number;
}

/** A well-formed ELF executable. `note` is a PT_NOTE segment's contents. */
export function makeElf(
  bits: 32 | 64,
  entry: number | bigint,
  segments: readonly TestSegment[],
  note?: Uint8Array,
): Uint8Array {
  const wide = bits === 64;
  const headerSize = wide ? 64 : 52;
  const phSize = wide ? 56 : 32;
  const count = segments.length + (note ? 1 : 0);
  const total = [...segments.map((s) => s.bytes), note ?? new Uint8Array()].reduce(
    (sum, b) => sum + b.length,
    headerSize + count * phSize,
  );
  const file = new Uint8Array(total);
  const view = new DataView(file.buffer);
  const word = (at: number, value: number | bigint) =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, Number(value), true);
  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, wide ? 62 : 3, true);
  view.setUint32(20, 1, true);
  word(24, entry);
  word(wide ? 32 : 28, headerSize);
  view.setUint16(wide ? 54 : 42, phSize, true);
  view.setUint16(wide ? 56 : 44, count, true);
  let at = headerSize + count * phSize;
  const header = (index: number, type: number, s: TestSegment) => {
    const ph = headerSize + index * phSize;
    view.setUint32(ph, type, true);
    const step = wide ? 8 : 4;
    const first = ph + step;
    [at, s.vaddr ?? s.paddr, s.paddr, s.bytes.length, s.memorySize ?? s.bytes.length].forEach((value, i) => {
      word(first + i * step, value);
    });
    file.set(s.bytes, at);
    at += s.bytes.length;
  };
  segments.forEach((s, i) => {
    header(i, 1, s);
  });
  if (note) header(segments.length, 4, { paddr: 0, bytes: note });
  return file;
}

/** A PVH note: owner "Xen", type 18, the entry as four or eight bytes. */
export function pvhNote(entry: number, size: 4 | 8 = 4): Uint8Array {
  const note = new Uint8Array(16 + size);
  const view = new DataView(note.buffer);
  view.setUint32(0, 4, true);
  view.setUint32(4, size, true);
  view.setUint32(8, 18, true);
  view.setUint32(12, 0x006e6558, true);
  view.setUint32(16, entry, true);
  return note;
}

export interface TestBzImage {
  readonly payload?: Uint8Array;
  readonly has64BitEntry?: boolean;
  readonly prefAddress?: number;
  readonly initSize?: number;
  readonly relocatable?: boolean;
  readonly version?: number;
}

/** A bzImage of protocol 2.15 whose protected-mode part is 0x400 bytes of 90h and then the payload. */
export function makeBzImage(options: TestBzImage = {}): Uint8Array {
  const { payload = new Uint8Array(), prefAddress = 0x100_0000, initSize = 0x20_0000 } = options;
  const setup = 2 * 512;
  const size = Math.ceil((0x400 + payload.length) / 16) * 16;
  const file = new Uint8Array(setup + size);
  const view = new DataView(file.buffer);
  file[SetupHeader.setup_sects] = 1;
  view.setUint32(SetupHeader.syssize, size / 16, true);
  view.setUint16(SetupHeader.boot_flag, 0xaa55, true);
  file[SetupHeader.jump] = 0xeb;
  file[SetupHeader.jump + 1] = 0x268 - 0x202;
  view.setUint32(SetupHeader.header, HDRS, true);
  view.setUint16(SetupHeader.version, options.version ?? 0x020f, true);
  file[SetupHeader.loadflags] = 1;
  view.setUint32(SetupHeader.initrd_addr_max, 0x7fff_ffff, true);
  view.setUint32(SetupHeader.kernel_alignment, 0x20_0000, true);
  file[SetupHeader.relocatable_kernel] = (options.relocatable ?? true) ? 1 : 0;
  view.setUint16(SetupHeader.xloadflags, options.has64BitEntry ? 1 : 0, true);
  view.setUint32(SetupHeader.cmdline_size, 2047, true);
  view.setUint32(SetupHeader.payload_offset, 0x400, true);
  view.setUint32(SetupHeader.payload_length, payload.length, true);
  view.setBigUint64(SetupHeader.pref_address, BigInt(prefAddress), true);
  view.setUint32(SetupHeader.init_size, initSize, true);
  file.fill(0x90, setup, setup + 0x400);
  file.set(payload, setup + 0x400);
  return file;
}

/** Remembers the state that it has been given. */
export class TestVcpu implements Pick<Vcpu, 'reset' | 'getState' | 'setState'> {
  state: Partial<VcpuState> = {};
  resets = 0;

  reset(): void {
    this.resets++;
    this.state = { dr: [0n, 0n, 0n, 0n, 0xffff_0ff0n, 0x400n], activity: 'halted' };
  }

  getState(): VcpuState {
    return this.state as VcpuState;
  }

  setState(state: VcpuState): void {
    this.state = state;
  }
}

// Small packed files for the tests, made by xz 5.4 (liblzma) and zstd 1.5; base64. With them the SHA-256 of what they unpack to.

/** 2188 bytes like machine code: CALL and JMP, x86 filter, CRC32. */
export const XZ_X86 =
  '/Td6WFoAAAFpIt42AgEEACEBFgANhjUf4AiLA1FdAH+6Gak9zJncIV4VAvHqdNEOzd0EEq8m/QEeOq9zcMQOWJjE8iC1+Us9uXcxXLNIXa9j4p82' +
  'jy3fmY1RXO53d2jxlXziJowqv3VXSVyzahji2D+QIk8OShV/+ngRbSMrMcHEoRQJO14dcuqSzafXFJqO4dodqeMMjW0x/m+iR/GAByeVDRiC8w5A' +
  'LniJSp8vTAwCGa3AhRIkodR3K7D+SCKgJb5J0owpdzj9dQ5OE0eq2fX8+V5uug63Sj8Sd2N7/YH1w2TLwywlqLuMQldnsjeax5BhIU/Rs6fwmNUT' +
  'pIBcT3hpNeAO4DcFzWyx1hJqnv91oS/81of8ogfPmH7+KS9AXuGHFNUkQPaACsm4LRkIOkixJlnqndmOlAFrGyhBn/w36eQZtnd78JDTrn2lDaVC' +
  'tC8wE/3IQxUnClBflPkc37D2nfZ/Ly1kkyLvyeBG599lLu7ioewWlN6nmrHUxsCJogKDitz3RP4N3Scn7KCT7EE6stnDObyFwis961rBsy3OoT9Q' +
  'kwJ9eOaz4nCQvhXXge4hdYh3vv3mmnpKA9kTVCD7NWtdWCPww5ta84RXjsYf8MwGSPJlJokso5+A+gG8t2is8QgvvMLO5rzv5255PNkG3Cq6G2Ce' +
  'dl9vIxujJDEJaRQ5hnnPdS79H479sHCX8HpZzNZ7qsC2sDLpXZvXlobj4gUZZ7x65ea7i4uPV3RxdJzjpXLYQmY2WnW9uLDgalnw9eaH2wcEpe7E' +
  'Qqbnpnd3ncNhaZ54QkRA5BPz9dTMqQXWEtKsnpmyzB3BKYaUzQikl2xRgS7iwyNeoVRqgdyEof2MRB4xxfjnAvgZGGqLLOkxdpZ1lwxF9Q177A8h' +
  '/Sy3vJf4gxuhQqRJaBncNkQl9mZP11G1GeYVVHtKimzp8J7ZQ9QTyvL4HOdkAbD8sXXhiYXov9HoyvImzCecfGm30WaTYyo20eF2UAN8jgNhJXU/' +
  'YiMJW38MK0MWwjp2Y7WGD2V/+RQQLBxWMgFUD1SUNq9oLppewqaRYrXtErEQhQDqpxGr1VE02bV1MHfrOL4QIw7Co9YDT4XHl+HiXa3mXGA1PsU8' +
  'T6JpeHsHMFasBPB0jreNkCZ47D0UMplemAPFNeIn0HSk3y+0zisjbAAAAACy1gNOAAHpBowRAADzqzXHPjANiwIAAAAAAVla';
export const XZ_X86_SHA256 = '40be2f4b0c0bbbe65f534180140c8d9cc1134e6e9de49b2d74857a3d76a6bf40';

/** A text with lc=1, lp=2, pb=3 and CRC64. */
export const XZ_TEXT =
  '/Td6WFoAAATm1rRGAgAhAQwAAACPmEGc4CdFA9OaADYaScZRAH/e1umGivqPd23fJu/DoO+LrsG4Z2+QG/I4UJnOe6lPJ+AByK1kAbXAnL8izR5l' +
  '2RsAIuVZ1Hfzo2Ai9V/cVCErsQunPFzKQ8fxPha4QomstVgAlU/gdlwntZP95McJq3TlhxFcZKfoVmwGE/QZFINMGi/PxmkNdUBfTwzB3d5IPV+u' +
  'qN7YfgycveQTq0sZOASlQm+R6k51YFWkO1s9wbTIybHcG2qoecwhYB2veO2MNC/IlpzCVB0AJpc4QBYEX2NB/ZCJA0L6RfJNSprs3UwdzSSWRvTP' +
  'TRv4e70+6AoDn5f7tKZYbneRHWmsYhQdhpJBiQJCN5N3dog73ZbwCkbffGssG06fZGbMnWYASKmDHA/ZVgCSSCLJbjKAvRFabkxI7g4gN86+IXP0' +
  'ngXZTsGEU9SikTDb0LI3hGQqYJrWGkLfSr5kAMEwulRuREnAUZh9MwlhYEn1SP5XIJuTipiMeHWS3OL7hEdLXSV1uWDgXPztN6Wh+A5qyaJJ8OtD' +
  '4ML5rDxZWQ8olCJTZmurrOpaTDw07igaAp/KgSpcNRK5aP53b6UJvR+ghBj85RCt7xnwUTHVNtGSLqonE+cmqAJUJXXGCvd+b3hAa7PoZxbu5A7C' +
  'OnSifyNJZIsOeT8f6pWC6flo8QKZOjTycfhvbpvitDBA6qkC9fNVnH/LA0PEW3nhhkgdXJMgtlxySa1T4N96bJzkZrnF1CDPi8b1IC/D4Y76A955' +
  'QvrsqjxRhXl+D+pw4sAqj3ywzw7P1d+/1YW1zYn7ryMrNa7yhM+cok2doOU3fFk+AbtzdgEvANF0coi0H0JtBzu7jxakaYdwD/uupp/ecA3KpHl0' +
  'pLcWVIZGGnyQ3RaPE3/rNJuRBqF1Ul7+sF/B2GNmE9HiqyFfeiCMziKogpeqfhlkl7jzThNcYv3YaX1IwDALgkPajqdNA+liWLxLhZCNZbk7xXU9' +
  'zJ5+Wdcc5dlsc35AZfbEnKWLS1Bpg1t4pjQuXa+IE2Xu9opZd9kHSqYsqaq0F2LwKDK7/Nsyd2nkYWYAgZv5qbd80P9N3OhqGsmX8ynGSp0P7Lij' +
  'HCkkD7gGdKkb1rcQLp2d+hqBXpxLrR3PDTpy+n5u7p2F7Ni5KRvm24EAGM0YwNLM8/gA7lB6im9GMv00Db5WwtKr5jRcJK64+myyCwv5gV4UAA4c' +
  'CladYY+rT6gj4lPpDeg9UpDtSbAV5T9K+RAAPAOcZafQ3qGfdLHqalwYXupuMLJDKgHwAAB0iHz992JEP0OCzP94NVe3eOZqJFWLi7V9nqJw1r7U' +
  'Xi4AAFUIb8uYF3kCAAHvB8ZOAACKsEW/scRn+wIAAAAABFla';
export const XZ_TEXT_SHA256 = 'd19e439b8dca692b7b1f18cddb5b99644a9cc7bba19c5b0e46c57245f28d18bb';

/** 600 random bytes, stored as a plain chunk, SHA-256 check. */
export const XZ_PLAIN =
  '/Td6WFoAAArh+wyhAgAhARYAAAB0L+WjAQJXg+1T9jWYgLYaPmkMrPb6kKodk0TXltS9QZRjEAD5UZ/VkNfsrqcHUf0A9+6/FnQB9T1nVld5zDTF' +
  '1XWMBWh4Ir/enHIwvuMfhQFL2R3tB2FhNljq4PD0lCYM7mgK42chrmYzvS1YcMoBEdsdmWDHyFU6xGBvQ87mS9ENjOlniC932NXjYWengBdiUrsw' +
  '3blJk10DTNk1A+6mKPlNvAMdvfSH56jTV8na4Qh19ZY3JPdwKqAwKabQWaSzFZ4/KisU+fBu4ptN2Y7mJHyULpolwJXTMVGx2S2va7Y17KYy/qcS' +
  '5x10kp6H67Ev59Nkz9o/QyDgpROcutc3WQTkSZwVNxgiKZaVkd12Ed3pl1Kqyu7sE1q78qMtOOCLva47x83mh0JK6raOXFjSBM2hgmNP3+g8ksES' +
  'Y2PPfP8NOpwyrayxUwYXZP8Qi/NoF3KpoHG86QgQPmI3nz1+ITizrILSVoqcIchZe/sFnPB2HG/EMZD4EoUB6ks9KX6jvHv5AwCkybSiiW6X50wE' +
  'ZXQCmi10eWnEb5BGaVY8+XHgnIIoX+4wsfMHmgdUUZ/CjvCsRGPkYzQK/1yWD2WKUo3Miii0nzl8CnWPweKDIvXK+EzP9B/LFmeEqVm83FPEdh+Q' +
  'dNX79Vrv9vvienmlcEsrPuTvBUsH+Uc5FyHa4V49CqrfrXJT/PylGaME/xVoYYGOmHV74yL+9Heo1IRuut8AoT1MeaGSeLV/ljX1gTyJFkk1M+CZ' +
  'SnGipl4W3NnEATqEyCwxA6Cd7kdMupuOKt/aA+j1nvMynSZ92Dg1ABjrF/pC+QwVHTo69tc+6iBOL7bozD/qIgqhgw04J4VDAAGIBdgEAACy9L8d' +
  'tunfHAIAAAAAClla';
export const XZ_PLAIN_SHA256 = '18eb17fa42f90c151d3a3af6d73eea204e2fb6e8cc3fea220aa1830d38278543';

/** 1500 bytes: 'typevisor ' 150 times. */
export const ZSTD_TEXT = 'KLUv/WTcBI0AAFB0eXBldmlzb3IgAQDP9S9IjAGWuQ==';
