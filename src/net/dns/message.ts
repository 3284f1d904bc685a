/** DNS messages (RFC 1035, 4.1): one question read, and answered. */
import { get16, parseIpv4, put16 } from '../address.js';
import { parseIpv6 } from '../address6.js';

export const DNS_HEADER = 12;
const QR = 0x8000;
const OPCODE = 0x7800;
const RD = 0x0100;
const RA = 0x0080;
const CLASS_IN = 1;
/** A pointer to the question's name, which follows the header. */
const NAME_POINTER = 0xc000 | DNS_HEADER;
const TTL_SECONDS = 30;
/** As many as surely fit into 512 bytes together with the longest name (RFC 1035, 4.2.1). */
const MOST_ANSWERS = 8;

export const NOERROR = 0;
export const SERVFAIL = 2;
export const NXDOMAIN = 3;
export const NOTIMP = 4;

const TYPES = { A: 1, PTR: 12, AAAA: 28 } as const;
export type QuestionType = keyof typeof TYPES;

export interface Question {
  readonly name: string;
  /** Undefined for a type that we have no name for. */
  readonly type: QuestionType | undefined;
  /** Where the question section ends. */
  readonly end: number;
}

/** @returns undefined where the message is no query with one question */
export function readQuestion(message: Uint8Array): Question | undefined {
  if (message.length < DNS_HEADER || (get16(message, 2) & (QR | OPCODE)) !== 0 || get16(message, 4) !== 1)
    return undefined;
  const labels: string[] = [];
  let at = DNS_HEADER;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63 || at + 1 + length > message.length || at - DNS_HEADER > 254)
      return undefined;
    at++;
    if (length === 0) break;
    labels.push(String.fromCharCode(...message.subarray(at, at + length)));
    at += length;
  }
  if (at + 4 > message.length) return undefined;
  const number = get16(message, at);
  const isInternet = get16(message, at + 2) === CLASS_IN;
  const type = (Object.keys(TYPES) as QuestionType[]).find((name) => isInternet && TYPES[name] === number);
  return { name: labels.join('.'), type, end: at + 4 };
}

/** The answer to a query, with records of the question's type: addresses, or names for PTR. */
export function writeAnswer(
  query: Uint8Array,
  question: Question,
  code: number,
  answers: readonly string[] = [],
): Uint8Array {
  const records = answers.map((text) => recordData(question.type, text)).filter((data) => data !== undefined);
  const kept = records.slice(0, MOST_ANSWERS);
  const length = question.end + kept.reduce((sum, data) => sum + 12 + data.length, 0);
  const message = new Uint8Array(length);
  message.set(query.subarray(0, question.end));
  put16(message, 2, QR | RA | (get16(query, 2) & RD) | code);
  put16(message, 6, kept.length);
  put16(message, 8, 0);
  put16(message, 10, 0);
  let at = question.end;
  for (const data of kept) {
    put16(message, at, NAME_POINTER);
    put16(message, at + 2, TYPES[question.type!]);
    put16(message, at + 4, CLASS_IN);
    put16(message, at + 8, TTL_SECONDS);
    put16(message, at + 10, data.length);
    message.set(data, at + 12);
    at += 12 + data.length;
  }
  return message;
}

function recordData(type: QuestionType | undefined, text: string): Uint8Array | undefined {
  switch (type) {
    case 'A': {
      const address = parseIpv4(text);
      return address === undefined
        ? undefined
        : Uint8Array.of(address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, address & 255);
    }
    case 'AAAA':
      return parseIpv6(text);
    case 'PTR':
      return writeName(text);
    default:
      return undefined;
  }
}

function writeName(name: string): Uint8Array | undefined {
  const labels = name.replace(/\.$/, '').split('.');
  if (labels.some((label) => label.length === 0 || label.length > 63) || name.length > 253) return undefined;
  const bytes = labels.flatMap((label) => [label.length, ...Array.from(label, (c) => c.charCodeAt(0) & 255)]);
  return Uint8Array.from([...bytes, 0]);
}
