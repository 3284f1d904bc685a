// What JavaScript gives the core: imports of module "env" (asc names the import module after this file).

export declare function portIn(port: i32, size: i32): i32;
export declare function portOut(port: i32, size: i32, value: i32): void;
export declare function mmioRead(gpaLo: u32, gpaHi: u32, size: i32): i32;
export declare function mmioWrite(gpaLo: u32, gpaHi: u32, size: i32, value: i32): void;
/** 1: the value lies at MSR_VALUE; 0: #GP. */
export declare function msrRead(msr: u32): i32;
export declare function msrWrite(msr: u32, lo: i32, hi: i32): i32;
/** INTA: the vector, or -1 when the request has gone away. */
export declare function ack(): i32;
export declare function readCr8(): i32;
export declare function writeCr8(value: i32): void;
/** Leaves the machine's TSC at TSC_VALUE. */
export declare function tscRead(): void;
/** Leaves 64 random bits at ENTROPY_VALUE. */
export declare function entropy(): void;
export declare function trace(a: i32, b: i32): void;

/** A block of a compiled region has gone (0: all code has): regions that hold it must not run again. */
export declare function regionDropped(block: u32): void;

/** RAM that is somebody else's: host address of a copy of the byte at a gpa, whose page stays there; 0: not RAM. */
export declare function pageIn(gpaLo: u32, gpaHi: u32): u32;

/** A block has been interpreted HOT_EVERY times more; R_PAGE is set. */
export declare function regionHot(block: u32): void;
