// What takes time in unpacking, in WebAssembly (AssemblyScript): a module of its own, which src/boot/unpacker.ts uses.
export { unpackLz4 } from './lz4';
export { decodeChunk, resetState, setProperties } from './lzma';
export { readTo, writtenTo } from './progress';
export { unfilterX86 } from './x86';
