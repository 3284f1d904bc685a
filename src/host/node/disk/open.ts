/** Opens a disk image: finds out its format and, for qcow2, the images that it stands on. */
import { FileStorage } from './file-storage.js';
import { type DiskImage, RawImage } from './image.js';
import { isQcow2, openQcow2 } from './qcow2/open.js';
import { DiskRefusal, StorageError } from './storage.js';

const SECTOR = 512;

/** @throws DiskRefusal with one sentence for the user */
export function openImage(path: string, format: 'auto' | 'raw' | 'qcow2', readonly: boolean): DiskImage {
  const storage = new FileStorage(path, readonly);
  try {
    const image =
      format === 'qcow2' || (format === 'auto' && isQcow2(storage))
        ? openQcow2(storage, (name) => new FileStorage(name, true))
        : new RawImage({ storage, guessed: format === 'auto' });
    checkSize(path, image.size);
    return image;
  } catch (error) {
    storage.close();
    throw error instanceof StorageError
      ? new DiskRefusal(`The disk ${path} can't be opened: ${error.message}.`)
      : error;
  }
}

function checkSize(path: string, size: number): void {
  if (size === 0)
    throw new DiskRefusal(`The disk ${path} is empty; give it a size with truncate -s 1G or qemu-img create.`);
  // As if there were no last bytes, a guest would see a disk that is damaged; filled up, the file would not keep its length.
  if (size % SECTOR !== 0)
    throw new DiskRefusal(
      `The disk ${path} has ${size} bytes, which is no whole number of ${SECTOR}-byte sectors; if nothing of it is missing, ` +
        `fill up the last one with truncate -s %${SECTOR} (or qemu-img resize, for qcow2).`,
    );
}
