import { describe, expect, test } from 'vitest';
import type { PackageRecord } from './apt.js';
import { planPackages } from './disk-image.js';

/** A package client that installs what it is asked for, in reverse, and knows no package of the second list. */
function fakeApt(...unknown: string[]) {
  const asked: string[][] = [];
  const record = (name: string): PackageRecord => ({ name, version: '1', size: 1, depends: [] });
  return {
    asked,
    show: async (names: readonly string[]) =>
      new Map(names.filter((name) => !unknown.includes(name)).map((name) => [name, record(name)])),
    resolve: async (names: readonly string[]) => {
      asked.push([...names]);
      return names.filter((name) => !name.startsWith('?')).toReversed();
    },
  };
}

describe('the packages of an image', () => {
  test('are the minimal system and what somebody wants besides, chosen together', async () => {
    const apt = fakeApt();
    const { packages, tools, base } = await planPackages(apt, ['openssh-server', 'file']);
    const [all] = apt.asked;
    expect(all).toEqual(expect.arrayContaining(['?essential', '?priority(required)', 'systemd-sysv', 'apt']));
    expect(all.slice(-3)).toEqual(['systemd-resolved', 'openssh-server', 'file']);
    // In the order in which they can be unpacked.
    expect(packages.map(({ name }) => name)).toEqual(all.filter((name) => !name.startsWith('?')).toReversed());
    expect(tools).toEqual(['e2fsprogs']);
    expect(base).toEqual(['usr-is-merged']);
    expect(apt.asked.slice(1).flat()).not.toContain('file');
  });

  test('do without those that a release has not as packages of their own', async () => {
    const apt = fakeApt('systemd-resolved');
    await planPackages(apt, []);
    expect(apt.asked[0]).not.toContain('systemd-resolved');
  });
});
