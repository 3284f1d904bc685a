import { describe, expect, test } from 'vitest';
import { MIB } from '../config/limits.js';
import { imageRequest } from './image.js';

const options = { size: '2G', arch: 'amd64' };

describe('what is asked of an image', () => {
  test('is a Debian of the usual kind unless more is said', () => {
    expect(imageRequest('debian', 'a.img', options)).toEqual({
      path: 'a.img',
      size: 2048 * MIB,
      arch: 'amd64',
      include: [],
    });
  });

  test('may be another architecture and more packages, from several lists', () => {
    const include = ['openssh-server,file', 'g++', ',libstdc++6,'];
    expect(imageRequest('debian', 'a.img', { size: '1G', arch: 'i386', include })).toMatchObject({
      arch: 'i386',
      include: ['openssh-server', 'file', 'g++', 'libstdc++6'],
    });
  });

  test.each([
    ['-o', 'no name'],
    ['Upper', 'no name'],
    ['a', 'too short for a name'],
    ['file:amd64', 'one of another architecture'],
    ['?essential', 'a pattern'],
    ['name/unstable', 'one of another release'],
    ['name=1.0', 'a version'],
    ['file nano', 'two in one word'],
  ])('is not a package %j, which is %s', (name) => {
    expect(() => imageRequest('debian', 'a.img', { ...options, include: [name] })).toThrow(
      `--include: "${name}" is no name of a package.`,
    );
  });

  test('is not for processors that nobody has', () => {
    expect(() => imageRequest('debian', 'a.img', { ...options, arch: 'arm64' })).toThrow(/arch/);
  });
});
