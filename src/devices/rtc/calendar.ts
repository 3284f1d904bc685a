/** The MC146818's calendar: seconds since 1970 to register values and back, in binary or BCD, 12 or 24 hours. */

/** Broken-down time; `weekday` is 1 for Sunday, `year` has all its digits. */
export interface CalendarTime {
  second: number;
  minute: number;
  hour: number;
  weekday: number;
  day: number;
  month: number;
  year: number;
}

/** How registers are coded: register B's DM and 24/12 bits. */
export interface Coding {
  binary: boolean;
  hours24: boolean;
}

const PM = 0x80;
/** 1 January of the year 0, the earliest that two registers of two digits hold, in seconds since 1970. */
const FIRST_SECOND = -62_167_219_200;

/** Times before the year 0 read as its first second. */
export function calendarOf(seconds: number): CalendarTime {
  const date = new Date(Math.max(seconds, FIRST_SECOND) * 1000);
  return {
    second: date.getUTCSeconds(),
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    weekday: date.getUTCDay() + 1,
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    year: date.getUTCFullYear(),
  };
}

/** Fields beyond their range carry over, as 31 February is 3 March; so whatever a guest wrote is some time. */
export function secondsOf(time: CalendarTime): number {
  const date = new Date(0);
  date.setUTCFullYear(time.year, time.month - 1, time.day);
  date.setUTCHours(time.hour, time.minute, time.second);
  return date.getTime() / 1000;
}

export function encode(value: number, coding: Coding): number {
  return coding.binary ? value & 0xff : ((Math.floor(value / 10) % 10) << 4) | (value % 10);
}

/** BCD digits above 9 count as what they are; 00h to FFh give 0 to 165. */
export function decode(register: number, coding: Coding): number {
  return coding.binary ? register : (register >> 4) * 10 + (register & 15);
}

export function encodeHour(hour: number, coding: Coding): number {
  if (coding.hours24) return encode(hour, coding);
  return encode(hour % 12 === 0 ? 12 : hour % 12, coding) | (hour >= 12 ? PM : 0);
}

export function decodeHour(register: number, coding: Coding): number {
  if (coding.hours24) return decode(register, coding);
  return (decode(register & ~PM, coding) % 12) + ((register & PM) !== 0 ? 12 : 0);
}

/**
 * Seconds from `secondOfDay` (0 to 86399) until the next later one that matches an alarm: 1 to 86400, Infinity where none
 * does. A field of -1 matches everything.
 */
export function untilAlarm(secondOfDay: number, alarm: { hour: number; minute: number; second: number }): number {
  if (alarm.hour > 23 || alarm.minute > 59 || alarm.second > 59) return Number.POSITIVE_INFINITY;
  const nowHour = Math.floor(secondOfDay / 3600);
  const nowMinute = Math.floor(secondOfDay / 60) % 60;
  const nowSecond = secondOfDay % 60;
  // 24 hours on is this hour again, for what lies before now in it.
  for (let i = 0; i <= 24; i++) {
    const hour = (nowHour + i) % 24;
    if (alarm.hour >= 0 && alarm.hour !== hour) continue;
    for (let minute = i === 0 ? nowMinute : 0; minute < 60; minute++) {
      if (alarm.minute >= 0 && alarm.minute !== minute) continue;
      const first = i === 0 && minute === nowMinute ? nowSecond + 1 : 0;
      const second = alarm.second >= 0 ? alarm.second : first;
      if (second < first || second > 59) continue;
      return (nowHour + i) * 3600 + minute * 60 + second - secondOfDay;
    }
  }
  return Number.POSITIVE_INFINITY;
}
