/**
 * An encoder of ACPI Machine Language (ACPI 6.5, chapter 20): each function gives the bytes of one term, terms are put
 * together by nesting calls. Only what our tables need.
 */

/** The encoded bytes of one term. */
export type Aml = Uint8Array;

const ZERO_OP = 0x00;
const ONE_OP = 0x01;
const NAME_OP = 0x08;
const BYTE_PREFIX = 0x0a;
const WORD_PREFIX = 0x0b;
const DWORD_PREFIX = 0x0c;
const STRING_PREFIX = 0x0d;
const QWORD_PREFIX = 0x0e;
const SCOPE_OP = 0x10;
const BUFFER_OP = 0x11;
const PACKAGE_OP = 0x12;
const METHOD_OP = 0x14;
const DUAL_NAME_PREFIX = 0x2e;
const MULTI_NAME_PREFIX = 0x2f;
const EXT_OP_PREFIX = 0x5b;
const DEVICE_OP = 0x82;
const ARG0_OP = 0x68;
const STORE_OP = 0x70;
const RETURN_OP = 0xa4;
const IF_OP = 0xa0;
const ONES_OP = 0xff;

/** Puts terms one after the other. */
export function concat(...parts: readonly (Uint8Array | readonly number[])[]): Aml {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * PkgLength (20.2.4), which counts itself. Up to 63 in one byte; beyond, the first byte says how many follow and holds
 * the low four bits.
 * @throws RangeError beyond 2^28 bytes.
 */
export function withLength(op: readonly number[], content: Uint8Array): Aml {
  for (let extra = 0; extra <= 3; extra++) {
    const total = content.length + 1 + extra;
    if (extra === 0 ? total < 0x40 : total < 1 << (4 + 8 * extra)) {
      const length = [extra === 0 ? total : (extra << 6) | (total & 15)];
      for (let i = 0; i < extra; i++) length.push((total >> (4 + 8 * i)) & 0xff);
      return concat(op, length, content);
    }
  }
  throw new RangeError('An AML package is longer than 2^28 bytes.');
}

function nameSegment(segment: string): number[] {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new RangeError(`"${segment}" is no AML name.`);
  return Array.from(segment.padEnd(4, '_'), (letter) => letter.charCodeAt(0));
}

/**
 * A NameString (20.2.2): segments joined by dots, after `\` for the root or any number of `^` for parents.
 * @throws RangeError where a segment is not one to four of A-Z, 0-9 and _, or begins with a digit.
 */
export function path(text: string): Aml {
  const [, prefix, rest] = /^(\\|\^*)(.*)$/.exec(text)!;
  const segments = rest === '' ? [] : rest.split('.');
  const count =
    segments.length === 0
      ? [ZERO_OP]
      : segments.length === 1
        ? []
        : segments.length === 2
          ? [DUAL_NAME_PREFIX]
          : [MULTI_NAME_PREFIX, segments.length];
  return concat(
    Array.from(prefix, (letter) => letter.charCodeAt(0)),
    count,
    segments.flatMap(nameSegment),
  );
}

/** An integer in its shortest form (20.2.3): 0 to 2^64-1. */
export function integer(value: number | bigint): Aml {
  const wide = BigInt(value);
  if (wide < 0n || wide >> 64n !== 0n) throw new RangeError(`${value} is no AML integer.`);
  if (wide === 0n) return Uint8Array.of(ZERO_OP);
  if (wide === 1n) return Uint8Array.of(ONE_OP);
  const [prefix, bytes] =
    wide <= 0xffn
      ? [BYTE_PREFIX, 1]
      : wide <= 0xffffn
        ? [WORD_PREFIX, 2]
        : wide <= 0xffff_ffffn
          ? [DWORD_PREFIX, 4]
          : [QWORD_PREFIX, 8];
  const encoded = [prefix];
  for (let i = 0; i < bytes; i++) encoded.push(Number((wide >> BigInt(8 * i)) & 0xffn));
  return Uint8Array.from(encoded);
}

/** All bits set, whatever the table's integer width. */
export function ones(): Aml {
  return Uint8Array.of(ONES_OP);
}

/** A string of ASCII characters 1 to 7Fh. */
export function string(text: string): Aml {
  const codes = Array.from(text, (letter) => letter.charCodeAt(0));
  if (codes.some((code) => code < 1 || code > 0x7f)) throw new RangeError('AML strings are ASCII.');
  return concat([STRING_PREFIX], codes, [0]);
}

/** A compressed EISA identifier such as PNP0A03 (19.3.4), as an integer. */
export function eisaId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new RangeError(`"${id}" is no EISA identifier.`);
  const letter = (at: number): number => id.charCodeAt(at) - 0x40;
  const high = (letter(0) << 10) | (letter(1) << 5) | letter(2);
  const low = Number.parseInt(id.slice(3), 16);
  // Both halves big-endian, in a little-endian integer.
  const swap = (half: number): number => ((half & 0xff) << 8) | (half >> 8);
  return integer(swap(high) + swap(low) * 0x1_0000);
}

export function buffer(bytes: Uint8Array): Aml {
  return withLength([BUFFER_OP], concat(integer(bytes.length), bytes));
}

/** A package of up to 255 elements: values, or `path` for references. */
export function pkg(...elements: readonly Aml[]): Aml {
  if (elements.length > 255) throw new RangeError('An AML package has at most 255 elements.');
  return withLength([PACKAGE_OP], concat([elements.length], ...elements));
}

/** Name (object, value). */
export function name(object: string, value: Aml): Aml {
  return concat([NAME_OP], path(object), value);
}

/** Scope (place) { … } */
export function scope(place: string, ...body: readonly Aml[]): Aml {
  return withLength([SCOPE_OP], concat(path(place), ...body));
}

/** Device (object) { … } */
export function device(object: string, ...body: readonly Aml[]): Aml {
  return withLength([EXT_OP_PREFIX, DEVICE_OP], concat(path(object), ...body));
}

/** Method (object, args, NotSerialized) { … }; 0 to 7 arguments. */
export function method(object: string, args: number, ...body: readonly Aml[]): Aml {
  return withLength([METHOD_OP], concat(path(object), [args & 7], ...body));
}

/** The method's argument, 0 to 6. */
export function arg(index: number): Aml {
  return Uint8Array.of(ARG0_OP + index);
}

/** Store (value, target) */
export function store(value: Aml, target: Aml): Aml {
  return concat([STORE_OP], value, target);
}

/** Return (value) */
export function ret(value: Aml): Aml {
  return concat([RETURN_OP], value);
}

/** If (condition) { … } */
export function when(condition: Aml, ...body: readonly Aml[]): Aml {
  return withLength([IF_OP], concat(condition, ...body));
}
