// Writes src/config/validate.generated.ts from the schema in src/config/schema.ts (as built in dist).
// Run by `npm run generate` after a change of the schema; a test fails while the two differ.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
export const target = join(root, 'src/config/validate.generated.ts');

/** The text of the validator for a JSON schema. */
export async function generate(schema) {
  const { default: Ajv } = await import('ajv');
  const { default: standalone } = await import('ajv/dist/standalone/index.js');
  const ajv = new Ajv.Ajv({ allErrors: false, verbose: true, code: { source: true, esm: true, lines: true } });
  const code = standalone.default(ajv, ajv.compile(schema));
  if (/\brequire\(|^import /m.test(code)) {
    throw new Error('The schema uses a keyword that needs the schema library at run time; express it otherwise.');
  }
  const body = code
    .replace(/^"use strict";\n?/, '')
    .replace(/^export const validate = (\w+);$/m, '')
    .replace(/^export default (\w+);$/m, '')
    .replace(/^function validate\d+\(/m, 'export function validate(')
    .replaceAll(/\bvalidate\d+\b/g, 'validate');
  return `// @ts-nocheck\n// Generated from schema.ts by scripts/generate-validator.mjs. Do not edit.\n${body.trim()}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { MachineConfigSchema } = await import(pathToFileURL(join(root, 'dist/config/schema.js')).href);
  const text = await generate(JSON.parse(JSON.stringify(MachineConfigSchema)));
  const old = (() => {
    try {
      return readFileSync(target, 'utf8');
    } catch {
      return '';
    }
  })();
  if (text !== old) writeFileSync(target, text);
  console.log(text === old ? 'The validator is up to date.' : `Wrote ${target}.`);
}
