/** Where this package lies, whether its code runs from src, from dist or bundled. */
import { existsSync } from 'node:fs';

function findRoot(): URL {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL('package.json', folder))) {
    const above = new URL('../', folder);
    if (above.href === folder.href) throw new Error(`There is no package.json above ${import.meta.url}.`);
    folder = above;
  }
  return folder;
}

/** The folder that holds package.json and dist, with a slash at its end. */
export const PACKAGE_ROOT = findRoot();
