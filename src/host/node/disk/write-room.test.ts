import { beforeEach, describe, expect, test } from 'vitest';
import { WriteRoom } from './write-room.js';

const MIB = 2 ** 20;
const PAGES = MIB / 4096;

describe('room for writes in the cache', () => {
  let now = 0;
  let asked = 0;
  let dirty = 0;
  let text: (dirty: number) => string;
  let room: WriteRoom;
  /** @param takes how long the write takes, in ms */
  const write = (mib: number, takes = 0) =>
    room.write(mib * MIB, () => {
      now += takes;
      return true;
    });

  beforeEach(() => {
    now = 1000;
    asked = 0;
    dirty = 0;
    text = (pages) =>
      `nr_dirty ${pages}\nnr_writeback 0\nnr_dirtied 9\nnr_dirty_threshold ${200 * PAGES}\nnr_dirty_background_threshold ${100 * PAGES}\n`;
    room = new WriteRoom({
      now: () => now,
      vmstat: () => {
        asked++;
        return text(dirty);
      },
    });
  });

  test('is asked for once in 32 MiB', () => {
    for (let n = 0; n < 96; n++) expect(write(1)).toBe(true);
    expect(asked).toBe(3);
  });

  test('is asked for again after a tenth of a second', () => {
    write(1);
    now += 99;
    write(1);
    expect(asked).toBe(1);
    now += 1;
    write(1);
    expect(asked).toBe(2);
  });

  test('is not there where much waits for the disk, and comes back', () => {
    dirty = 69 * PAGES;
    expect([write(1), asked]).toEqual([false, 1]);
    dirty = 0;
    expect([write(1), asked]).toEqual([false, 1]);
    now += 100;
    expect([write(1), asked]).toEqual([true, 2]);
  });

  test('counts what is being written to the disk', () => {
    text = () => `nr_dirty 0\nnr_writeback ${80 * PAGES}\nnr_dirty_background_threshold ${100 * PAGES}\n`;
    expect(write(1)).toBe(false);
  });

  test('is not there where the system says nothing of it', () => {
    text = () => '';
    expect(write(1)).toBe(false);
  });

  test('closes when a write has taken long, and longer the next time', () => {
    expect(write(1, 20)).toBe(true);
    now += 999;
    expect(write(1)).toBe(false);
    now += 1;
    expect(write(1, 20)).toBe(true);
    now += 1999;
    expect(write(1)).toBe(false);
    now += 1;
    expect(write(1, 19)).toBe(true);
    expect(write(1)).toBe(true);
  });
});
