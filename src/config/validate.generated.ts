// @ts-nocheck
// Generated from schema.ts by scripts/generate-validator.mjs. Do not edit.
const schema11 = {"type":"object","required":["memory","cpus","engine","arch","irqchip","pins","deterministic","reboot","strictIo","strictMsr","strictVirtio","exitOnHlt","detailedExits","virtioConsole","disks","nets","rng","balloon","shares","deviceOrder"],"properties":{"memory":{"type":"integer","minimum":2097152,"maximum":548682072064,"multipleOf":1048576},"cpus":{"type":"integer","minimum":1,"maximum":16},"engine":{"enum":["auto","kvm","soft"]},"arch":{"enum":["amd64","i386"]},"irqchip":{"enum":["kernel","split","machine"]},"pins":{"type":"array","items":{"type":"object","required":["vcpu","cpu"],"properties":{"vcpu":{"type":"integer","minimum":0,"maximum":15},"cpu":{"type":"integer","minimum":0,"maximum":1023}},"additionalProperties":false}},"deterministic":{"type":"boolean"},"reboot":{"type":"boolean"},"timeout":{"type":"number","exclusiveMinimum":0},"strictIo":{"type":"boolean"},"strictMsr":{"type":"boolean"},"strictVirtio":{"type":"boolean"},"exitOnHlt":{"type":"boolean"},"detailedExits":{"type":"boolean"},"virtioConsole":{"type":"boolean"},"disks":{"type":"array","items":{"type":"object","required":["path","format","readonly"],"properties":{"path":{"type":"string"},"format":{"enum":["auto","raw","qcow2"]},"readonly":{"type":"boolean"}},"additionalProperties":false}},"nets":{"type":"array","items":{"type":"object","required":["kind"],"properties":{"kind":{"enum":["user","tap","bridge","socket"]},"mac":{"type":"string","pattern":"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},"hostLoopback":{"type":"boolean"},"forwards":{"type":"array","items":{"type":"object","required":["protocol","hostAddress","hostPort","guestPort"],"properties":{"protocol":{"enum":["tcp","udp"]},"hostAddress":{"type":"string"},"hostPort":{"type":"integer","minimum":0,"maximum":65535},"guestAddress":{"type":"string"},"guestPort":{"type":"integer","minimum":1,"maximum":65535}},"additionalProperties":false}},"name":{"type":"string"},"address":{"type":"string"},"prefix":{"type":"integer","minimum":1,"maximum":32},"path":{"type":"string"}},"additionalProperties":false}},"rng":{"type":"boolean"},"balloon":{"type":"boolean"},"shares":{"type":"array","items":{"type":"object","required":["path","tag","readonly"],"properties":{"path":{"type":"string"},"tag":{"type":"string"},"readonly":{"type":"boolean"}},"additionalProperties":false}},"vsock":{"type":"object","required":["path","cid"],"properties":{"path":{"type":"string"},"cid":{"type":"integer","minimum":3,"maximum":4294967294}},"additionalProperties":false},"deviceOrder":{"type":"array","items":{"enum":["console","disk","net","rng","balloon","share","vsock"]}}},"additionalProperties":false};
const func2 = Object.prototype.hasOwnProperty;
const pattern0 = new RegExp("^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$", "u");

export function validate(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((((((((((((data.memory === undefined) && (missing0 = "memory")) || ((data.cpus === undefined) && (missing0 = "cpus"))) || ((data.engine === undefined) && (missing0 = "engine"))) || ((data.arch === undefined) && (missing0 = "arch"))) || ((data.irqchip === undefined) && (missing0 = "irqchip"))) || ((data.pins === undefined) && (missing0 = "pins"))) || ((data.deterministic === undefined) && (missing0 = "deterministic"))) || ((data.reboot === undefined) && (missing0 = "reboot"))) || ((data.strictIo === undefined) && (missing0 = "strictIo"))) || ((data.strictMsr === undefined) && (missing0 = "strictMsr"))) || ((data.strictVirtio === undefined) && (missing0 = "strictVirtio"))) || ((data.exitOnHlt === undefined) && (missing0 = "exitOnHlt"))) || ((data.detailedExits === undefined) && (missing0 = "detailedExits"))) || ((data.virtioConsole === undefined) && (missing0 = "virtioConsole"))) || ((data.disks === undefined) && (missing0 = "disks"))) || ((data.nets === undefined) && (missing0 = "nets"))) || ((data.rng === undefined) && (missing0 = "rng"))) || ((data.balloon === undefined) && (missing0 = "balloon"))) || ((data.shares === undefined) && (missing0 = "shares"))) || ((data.deviceOrder === undefined) && (missing0 = "deviceOrder"))){
validate.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0},message:"must have required property '"+missing0+"'",schema:schema11.required,parentSchema:schema11,data}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(func2.call(schema11.properties, key0))){
validate.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0},message:"must NOT have additional properties",schema:false,parentSchema:schema11,data}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.memory !== undefined){
let data0 = data.memory;
const _errs2 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.memory.type,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
if(errors === _errs2){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 548682072064 || isNaN(data0)){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/maximum",keyword:"maximum",params:{comparison: "<=", limit: 548682072064},message:"must be <= 548682072064",schema:548682072064,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
else {
if(data0 < 2097152 || isNaN(data0)){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/minimum",keyword:"minimum",params:{comparison: ">=", limit: 2097152},message:"must be >= 2097152",schema:2097152,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
else {
let res0;
if((1048576 === 0 || (res0 = data0/1048576, res0 !== parseInt(res0)))){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/multipleOf",keyword:"multipleOf",params:{multipleOf: 1048576},message:"must be multiple of 1048576",schema:1048576,parentSchema:schema11.properties.memory,data:data0}];
return false;
}
}
}
}
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.cpus !== undefined){
let data1 = data.cpus;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate.errors = [{instancePath:instancePath+"/cpus",schemaPath:"#/properties/cpus/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.cpus.type,parentSchema:schema11.properties.cpus,data:data1}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 16 || isNaN(data1)){
validate.errors = [{instancePath:instancePath+"/cpus",schemaPath:"#/properties/cpus/maximum",keyword:"maximum",params:{comparison: "<=", limit: 16},message:"must be <= 16",schema:16,parentSchema:schema11.properties.cpus,data:data1}];
return false;
}
else {
if(data1 < 1 || isNaN(data1)){
validate.errors = [{instancePath:instancePath+"/cpus",schemaPath:"#/properties/cpus/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.cpus,data:data1}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.engine !== undefined){
let data2 = data.engine;
const _errs6 = errors;
if(!(((data2 === "auto") || (data2 === "kvm")) || (data2 === "soft"))){
validate.errors = [{instancePath:instancePath+"/engine",schemaPath:"#/properties/engine/enum",keyword:"enum",params:{allowedValues: schema11.properties.engine.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.engine.enum,parentSchema:schema11.properties.engine,data:data2}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.arch !== undefined){
let data3 = data.arch;
const _errs7 = errors;
if(!((data3 === "amd64") || (data3 === "i386"))){
validate.errors = [{instancePath:instancePath+"/arch",schemaPath:"#/properties/arch/enum",keyword:"enum",params:{allowedValues: schema11.properties.arch.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.arch.enum,parentSchema:schema11.properties.arch,data:data3}];
return false;
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.irqchip !== undefined){
let data4 = data.irqchip;
const _errs8 = errors;
if(!(((data4 === "kernel") || (data4 === "split")) || (data4 === "machine"))){
validate.errors = [{instancePath:instancePath+"/irqchip",schemaPath:"#/properties/irqchip/enum",keyword:"enum",params:{allowedValues: schema11.properties.irqchip.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.irqchip.enum,parentSchema:schema11.properties.irqchip,data:data4}];
return false;
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.pins !== undefined){
let data5 = data.pins;
const _errs9 = errors;
if(errors === _errs9){
if(Array.isArray(data5)){
var valid1 = true;
const len0 = data5.length;
for(let i0=0; i0<len0; i0++){
let data6 = data5[i0];
const _errs11 = errors;
if(errors === _errs11){
if(data6 && typeof data6 == "object" && !Array.isArray(data6)){
let missing1;
if(((data6.vcpu === undefined) && (missing1 = "vcpu")) || ((data6.cpu === undefined) && (missing1 = "cpu"))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0,schemaPath:"#/properties/pins/items/required",keyword:"required",params:{missingProperty: missing1},message:"must have required property '"+missing1+"'",schema:schema11.properties.pins.items.required,parentSchema:schema11.properties.pins.items,data:data6}];
return false;
}
else {
const _errs13 = errors;
for(const key1 in data6){
if(!((key1 === "vcpu") || (key1 === "cpu"))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0,schemaPath:"#/properties/pins/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key1},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.pins.items,data:data6}];
return false;
break;
}
}
if(_errs13 === errors){
if(data6.vcpu !== undefined){
let data7 = data6.vcpu;
const _errs14 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/vcpu",schemaPath:"#/properties/pins/items/properties/vcpu/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.pins.items.properties.vcpu.type,parentSchema:schema11.properties.pins.items.properties.vcpu,data:data7}];
return false;
}
if(errors === _errs14){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 15 || isNaN(data7)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/vcpu",schemaPath:"#/properties/pins/items/properties/vcpu/maximum",keyword:"maximum",params:{comparison: "<=", limit: 15},message:"must be <= 15",schema:15,parentSchema:schema11.properties.pins.items.properties.vcpu,data:data7}];
return false;
}
else {
if(data7 < 0 || isNaN(data7)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/vcpu",schemaPath:"#/properties/pins/items/properties/vcpu/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.pins.items.properties.vcpu,data:data7}];
return false;
}
}
}
}
var valid2 = _errs14 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data6.cpu !== undefined){
let data8 = data6.cpu;
const _errs16 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/cpu",schemaPath:"#/properties/pins/items/properties/cpu/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.pins.items.properties.cpu.type,parentSchema:schema11.properties.pins.items.properties.cpu,data:data8}];
return false;
}
if(errors === _errs16){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 1023 || isNaN(data8)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/cpu",schemaPath:"#/properties/pins/items/properties/cpu/maximum",keyword:"maximum",params:{comparison: "<=", limit: 1023},message:"must be <= 1023",schema:1023,parentSchema:schema11.properties.pins.items.properties.cpu,data:data8}];
return false;
}
else {
if(data8 < 0 || isNaN(data8)){
validate.errors = [{instancePath:instancePath+"/pins/" + i0+"/cpu",schemaPath:"#/properties/pins/items/properties/cpu/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.pins.items.properties.cpu,data:data8}];
return false;
}
}
}
}
var valid2 = _errs16 === errors;
}
else {
var valid2 = true;
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/pins/" + i0,schemaPath:"#/properties/pins/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.pins.items.type,parentSchema:schema11.properties.pins.items,data:data6}];
return false;
}
}
var valid1 = _errs11 === errors;
if(!valid1){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/pins",schemaPath:"#/properties/pins/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.pins.type,parentSchema:schema11.properties.pins,data:data5}];
return false;
}
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.deterministic !== undefined){
let data9 = data.deterministic;
const _errs18 = errors;
if(typeof data9 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/deterministic",schemaPath:"#/properties/deterministic/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.deterministic.type,parentSchema:schema11.properties.deterministic,data:data9}];
return false;
}
var valid0 = _errs18 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reboot !== undefined){
let data10 = data.reboot;
const _errs20 = errors;
if(typeof data10 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/reboot",schemaPath:"#/properties/reboot/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.reboot.type,parentSchema:schema11.properties.reboot,data:data10}];
return false;
}
var valid0 = _errs20 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.timeout !== undefined){
let data11 = data.timeout;
const _errs22 = errors;
if(errors === _errs22){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 <= 0 || isNaN(data11)){
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/exclusiveMinimum",keyword:"exclusiveMinimum",params:{comparison: ">", limit: 0},message:"must be > 0",schema:0,parentSchema:schema11.properties.timeout,data:data11}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/type",keyword:"type",params:{type: "number"},message:"must be number",schema:schema11.properties.timeout.type,parentSchema:schema11.properties.timeout,data:data11}];
return false;
}
}
var valid0 = _errs22 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictIo !== undefined){
let data12 = data.strictIo;
const _errs24 = errors;
if(typeof data12 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictIo",schemaPath:"#/properties/strictIo/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictIo.type,parentSchema:schema11.properties.strictIo,data:data12}];
return false;
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictMsr !== undefined){
let data13 = data.strictMsr;
const _errs26 = errors;
if(typeof data13 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictMsr",schemaPath:"#/properties/strictMsr/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictMsr.type,parentSchema:schema11.properties.strictMsr,data:data13}];
return false;
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictVirtio !== undefined){
let data14 = data.strictVirtio;
const _errs28 = errors;
if(typeof data14 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictVirtio",schemaPath:"#/properties/strictVirtio/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictVirtio.type,parentSchema:schema11.properties.strictVirtio,data:data14}];
return false;
}
var valid0 = _errs28 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.exitOnHlt !== undefined){
let data15 = data.exitOnHlt;
const _errs30 = errors;
if(typeof data15 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/exitOnHlt",schemaPath:"#/properties/exitOnHlt/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.exitOnHlt.type,parentSchema:schema11.properties.exitOnHlt,data:data15}];
return false;
}
var valid0 = _errs30 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detailedExits !== undefined){
let data16 = data.detailedExits;
const _errs32 = errors;
if(typeof data16 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/detailedExits",schemaPath:"#/properties/detailedExits/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.detailedExits.type,parentSchema:schema11.properties.detailedExits,data:data16}];
return false;
}
var valid0 = _errs32 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.virtioConsole !== undefined){
let data17 = data.virtioConsole;
const _errs34 = errors;
if(typeof data17 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/virtioConsole",schemaPath:"#/properties/virtioConsole/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.virtioConsole.type,parentSchema:schema11.properties.virtioConsole,data:data17}];
return false;
}
var valid0 = _errs34 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.disks !== undefined){
let data18 = data.disks;
const _errs36 = errors;
if(errors === _errs36){
if(Array.isArray(data18)){
var valid3 = true;
const len1 = data18.length;
for(let i1=0; i1<len1; i1++){
let data19 = data18[i1];
const _errs38 = errors;
if(errors === _errs38){
if(data19 && typeof data19 == "object" && !Array.isArray(data19)){
let missing2;
if((((data19.path === undefined) && (missing2 = "path")) || ((data19.format === undefined) && (missing2 = "format"))) || ((data19.readonly === undefined) && (missing2 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i1,schemaPath:"#/properties/disks/items/required",keyword:"required",params:{missingProperty: missing2},message:"must have required property '"+missing2+"'",schema:schema11.properties.disks.items.required,parentSchema:schema11.properties.disks.items,data:data19}];
return false;
}
else {
const _errs40 = errors;
for(const key2 in data19){
if(!(((key2 === "path") || (key2 === "format")) || (key2 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i1,schemaPath:"#/properties/disks/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key2},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.disks.items,data:data19}];
return false;
break;
}
}
if(_errs40 === errors){
if(data19.path !== undefined){
let data20 = data19.path;
const _errs41 = errors;
if(typeof data20 !== "string"){
validate.errors = [{instancePath:instancePath+"/disks/" + i1+"/path",schemaPath:"#/properties/disks/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.disks.items.properties.path.type,parentSchema:schema11.properties.disks.items.properties.path,data:data20}];
return false;
}
var valid4 = _errs41 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.format !== undefined){
let data21 = data19.format;
const _errs43 = errors;
if(!(((data21 === "auto") || (data21 === "raw")) || (data21 === "qcow2"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i1+"/format",schemaPath:"#/properties/disks/items/properties/format/enum",keyword:"enum",params:{allowedValues: schema11.properties.disks.items.properties.format.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.disks.items.properties.format.enum,parentSchema:schema11.properties.disks.items.properties.format,data:data21}];
return false;
}
var valid4 = _errs43 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.readonly !== undefined){
let data22 = data19.readonly;
const _errs44 = errors;
if(typeof data22 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/disks/" + i1+"/readonly",schemaPath:"#/properties/disks/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.disks.items.properties.readonly.type,parentSchema:schema11.properties.disks.items.properties.readonly,data:data22}];
return false;
}
var valid4 = _errs44 === errors;
}
else {
var valid4 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks/" + i1,schemaPath:"#/properties/disks/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.disks.items.type,parentSchema:schema11.properties.disks.items,data:data19}];
return false;
}
}
var valid3 = _errs38 === errors;
if(!valid3){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks",schemaPath:"#/properties/disks/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.disks.type,parentSchema:schema11.properties.disks,data:data18}];
return false;
}
}
var valid0 = _errs36 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.nets !== undefined){
let data23 = data.nets;
const _errs46 = errors;
if(errors === _errs46){
if(Array.isArray(data23)){
var valid5 = true;
const len2 = data23.length;
for(let i2=0; i2<len2; i2++){
let data24 = data23[i2];
const _errs48 = errors;
if(errors === _errs48){
if(data24 && typeof data24 == "object" && !Array.isArray(data24)){
let missing3;
if((data24.kind === undefined) && (missing3 = "kind")){
validate.errors = [{instancePath:instancePath+"/nets/" + i2,schemaPath:"#/properties/nets/items/required",keyword:"required",params:{missingProperty: missing3},message:"must have required property '"+missing3+"'",schema:schema11.properties.nets.items.required,parentSchema:schema11.properties.nets.items,data:data24}];
return false;
}
else {
const _errs50 = errors;
for(const key3 in data24){
if(!((((((((key3 === "kind") || (key3 === "mac")) || (key3 === "hostLoopback")) || (key3 === "forwards")) || (key3 === "name")) || (key3 === "address")) || (key3 === "prefix")) || (key3 === "path"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2,schemaPath:"#/properties/nets/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key3},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items,data:data24}];
return false;
break;
}
}
if(_errs50 === errors){
if(data24.kind !== undefined){
let data25 = data24.kind;
const _errs51 = errors;
if(!((((data25 === "user") || (data25 === "tap")) || (data25 === "bridge")) || (data25 === "socket"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/kind",schemaPath:"#/properties/nets/items/properties/kind/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.kind.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.kind.enum,parentSchema:schema11.properties.nets.items.properties.kind,data:data25}];
return false;
}
var valid6 = _errs51 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.mac !== undefined){
let data26 = data24.mac;
const _errs52 = errors;
if(errors === _errs52){
if(typeof data26 === "string"){
if(!pattern0.test(data26)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/mac",schemaPath:"#/properties/nets/items/properties/mac/pattern",keyword:"pattern",params:{pattern: "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},message:"must match pattern \""+"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"+"\"",schema:"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",parentSchema:schema11.properties.nets.items.properties.mac,data:data26}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/mac",schemaPath:"#/properties/nets/items/properties/mac/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.mac.type,parentSchema:schema11.properties.nets.items.properties.mac,data:data26}];
return false;
}
}
var valid6 = _errs52 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.hostLoopback !== undefined){
let data27 = data24.hostLoopback;
const _errs54 = errors;
if(typeof data27 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/hostLoopback",schemaPath:"#/properties/nets/items/properties/hostLoopback/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.nets.items.properties.hostLoopback.type,parentSchema:schema11.properties.nets.items.properties.hostLoopback,data:data27}];
return false;
}
var valid6 = _errs54 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.forwards !== undefined){
let data28 = data24.forwards;
const _errs56 = errors;
if(errors === _errs56){
if(Array.isArray(data28)){
var valid7 = true;
const len3 = data28.length;
for(let i3=0; i3<len3; i3++){
let data29 = data28[i3];
const _errs58 = errors;
if(errors === _errs58){
if(data29 && typeof data29 == "object" && !Array.isArray(data29)){
let missing4;
if(((((data29.protocol === undefined) && (missing4 = "protocol")) || ((data29.hostAddress === undefined) && (missing4 = "hostAddress"))) || ((data29.hostPort === undefined) && (missing4 = "hostPort"))) || ((data29.guestPort === undefined) && (missing4 = "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3,schemaPath:"#/properties/nets/items/properties/forwards/items/required",keyword:"required",params:{missingProperty: missing4},message:"must have required property '"+missing4+"'",schema:schema11.properties.nets.items.properties.forwards.items.required,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data29}];
return false;
}
else {
const _errs60 = errors;
for(const key4 in data29){
if(!(((((key4 === "protocol") || (key4 === "hostAddress")) || (key4 === "hostPort")) || (key4 === "guestAddress")) || (key4 === "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3,schemaPath:"#/properties/nets/items/properties/forwards/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key4},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data29}];
return false;
break;
}
}
if(_errs60 === errors){
if(data29.protocol !== undefined){
let data30 = data29.protocol;
const _errs61 = errors;
if(!((data30 === "tcp") || (data30 === "udp"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/protocol",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/protocol/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.protocol,data:data30}];
return false;
}
var valid8 = _errs61 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data29.hostAddress !== undefined){
let data31 = data29.hostAddress;
const _errs62 = errors;
if(typeof data31 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress,data:data31}];
return false;
}
var valid8 = _errs62 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data29.hostPort !== undefined){
let data32 = data29.hostPort;
const _errs64 = errors;
if(!(((typeof data32 == "number") && (!(data32 % 1) && !isNaN(data32))) && (isFinite(data32)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data32}];
return false;
}
if(errors === _errs64){
if((typeof data32 == "number") && (isFinite(data32))){
if(data32 > 65535 || isNaN(data32)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data32}];
return false;
}
else {
if(data32 < 0 || isNaN(data32)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data32}];
return false;
}
}
}
}
var valid8 = _errs64 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data29.guestAddress !== undefined){
let data33 = data29.guestAddress;
const _errs66 = errors;
if(typeof data33 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress,data:data33}];
return false;
}
var valid8 = _errs66 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data29.guestPort !== undefined){
let data34 = data29.guestPort;
const _errs68 = errors;
if(!(((typeof data34 == "number") && (!(data34 % 1) && !isNaN(data34))) && (isFinite(data34)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data34}];
return false;
}
if(errors === _errs68){
if((typeof data34 == "number") && (isFinite(data34))){
if(data34 > 65535 || isNaN(data34)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data34}];
return false;
}
else {
if(data34 < 1 || isNaN(data34)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data34}];
return false;
}
}
}
}
var valid8 = _errs68 === errors;
}
else {
var valid8 = true;
}
}
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards/" + i3,schemaPath:"#/properties/nets/items/properties/forwards/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.properties.forwards.items.type,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data29}];
return false;
}
}
var valid7 = _errs58 === errors;
if(!valid7){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/forwards",schemaPath:"#/properties/nets/items/properties/forwards/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.items.properties.forwards.type,parentSchema:schema11.properties.nets.items.properties.forwards,data:data28}];
return false;
}
}
var valid6 = _errs56 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.name !== undefined){
let data35 = data24.name;
const _errs70 = errors;
if(typeof data35 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/name",schemaPath:"#/properties/nets/items/properties/name/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.name.type,parentSchema:schema11.properties.nets.items.properties.name,data:data35}];
return false;
}
var valid6 = _errs70 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.address !== undefined){
let data36 = data24.address;
const _errs72 = errors;
if(typeof data36 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/address",schemaPath:"#/properties/nets/items/properties/address/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.address.type,parentSchema:schema11.properties.nets.items.properties.address,data:data36}];
return false;
}
var valid6 = _errs72 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.prefix !== undefined){
let data37 = data24.prefix;
const _errs74 = errors;
if(!(((typeof data37 == "number") && (!(data37 % 1) && !isNaN(data37))) && (isFinite(data37)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.prefix.type,parentSchema:schema11.properties.nets.items.properties.prefix,data:data37}];
return false;
}
if(errors === _errs74){
if((typeof data37 == "number") && (isFinite(data37))){
if(data37 > 32 || isNaN(data37)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/maximum",keyword:"maximum",params:{comparison: "<=", limit: 32},message:"must be <= 32",schema:32,parentSchema:schema11.properties.nets.items.properties.prefix,data:data37}];
return false;
}
else {
if(data37 < 1 || isNaN(data37)){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.prefix,data:data37}];
return false;
}
}
}
}
var valid6 = _errs74 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.path !== undefined){
let data38 = data24.path;
const _errs76 = errors;
if(typeof data38 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i2+"/path",schemaPath:"#/properties/nets/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.path.type,parentSchema:schema11.properties.nets.items.properties.path,data:data38}];
return false;
}
var valid6 = _errs76 === errors;
}
else {
var valid6 = true;
}
}
}
}
}
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i2,schemaPath:"#/properties/nets/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.type,parentSchema:schema11.properties.nets.items,data:data24}];
return false;
}
}
var valid5 = _errs48 === errors;
if(!valid5){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets",schemaPath:"#/properties/nets/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.type,parentSchema:schema11.properties.nets,data:data23}];
return false;
}
}
var valid0 = _errs46 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.rng !== undefined){
let data39 = data.rng;
const _errs78 = errors;
if(typeof data39 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/rng",schemaPath:"#/properties/rng/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.rng.type,parentSchema:schema11.properties.rng,data:data39}];
return false;
}
var valid0 = _errs78 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.balloon !== undefined){
let data40 = data.balloon;
const _errs80 = errors;
if(typeof data40 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/balloon",schemaPath:"#/properties/balloon/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.balloon.type,parentSchema:schema11.properties.balloon,data:data40}];
return false;
}
var valid0 = _errs80 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.shares !== undefined){
let data41 = data.shares;
const _errs82 = errors;
if(errors === _errs82){
if(Array.isArray(data41)){
var valid9 = true;
const len4 = data41.length;
for(let i4=0; i4<len4; i4++){
let data42 = data41[i4];
const _errs84 = errors;
if(errors === _errs84){
if(data42 && typeof data42 == "object" && !Array.isArray(data42)){
let missing5;
if((((data42.path === undefined) && (missing5 = "path")) || ((data42.tag === undefined) && (missing5 = "tag"))) || ((data42.readonly === undefined) && (missing5 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i4,schemaPath:"#/properties/shares/items/required",keyword:"required",params:{missingProperty: missing5},message:"must have required property '"+missing5+"'",schema:schema11.properties.shares.items.required,parentSchema:schema11.properties.shares.items,data:data42}];
return false;
}
else {
const _errs86 = errors;
for(const key5 in data42){
if(!(((key5 === "path") || (key5 === "tag")) || (key5 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i4,schemaPath:"#/properties/shares/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key5},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.shares.items,data:data42}];
return false;
break;
}
}
if(_errs86 === errors){
if(data42.path !== undefined){
let data43 = data42.path;
const _errs87 = errors;
if(typeof data43 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i4+"/path",schemaPath:"#/properties/shares/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.path.type,parentSchema:schema11.properties.shares.items.properties.path,data:data43}];
return false;
}
var valid10 = _errs87 === errors;
}
else {
var valid10 = true;
}
if(valid10){
if(data42.tag !== undefined){
let data44 = data42.tag;
const _errs89 = errors;
if(typeof data44 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i4+"/tag",schemaPath:"#/properties/shares/items/properties/tag/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.tag.type,parentSchema:schema11.properties.shares.items.properties.tag,data:data44}];
return false;
}
var valid10 = _errs89 === errors;
}
else {
var valid10 = true;
}
if(valid10){
if(data42.readonly !== undefined){
let data45 = data42.readonly;
const _errs91 = errors;
if(typeof data45 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/shares/" + i4+"/readonly",schemaPath:"#/properties/shares/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.shares.items.properties.readonly.type,parentSchema:schema11.properties.shares.items.properties.readonly,data:data45}];
return false;
}
var valid10 = _errs91 === errors;
}
else {
var valid10 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares/" + i4,schemaPath:"#/properties/shares/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.shares.items.type,parentSchema:schema11.properties.shares.items,data:data42}];
return false;
}
}
var valid9 = _errs84 === errors;
if(!valid9){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares",schemaPath:"#/properties/shares/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.shares.type,parentSchema:schema11.properties.shares,data:data41}];
return false;
}
}
var valid0 = _errs82 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.vsock !== undefined){
let data46 = data.vsock;
const _errs93 = errors;
if(errors === _errs93){
if(data46 && typeof data46 == "object" && !Array.isArray(data46)){
let missing6;
if(((data46.path === undefined) && (missing6 = "path")) || ((data46.cid === undefined) && (missing6 = "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/required",keyword:"required",params:{missingProperty: missing6},message:"must have required property '"+missing6+"'",schema:schema11.properties.vsock.required,parentSchema:schema11.properties.vsock,data:data46}];
return false;
}
else {
const _errs95 = errors;
for(const key6 in data46){
if(!((key6 === "path") || (key6 === "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key6},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.vsock,data:data46}];
return false;
break;
}
}
if(_errs95 === errors){
if(data46.path !== undefined){
let data47 = data46.path;
const _errs96 = errors;
if(typeof data47 !== "string"){
validate.errors = [{instancePath:instancePath+"/vsock/path",schemaPath:"#/properties/vsock/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.vsock.properties.path.type,parentSchema:schema11.properties.vsock.properties.path,data:data47}];
return false;
}
var valid11 = _errs96 === errors;
}
else {
var valid11 = true;
}
if(valid11){
if(data46.cid !== undefined){
let data48 = data46.cid;
const _errs98 = errors;
if(!(((typeof data48 == "number") && (!(data48 % 1) && !isNaN(data48))) && (isFinite(data48)))){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.vsock.properties.cid.type,parentSchema:schema11.properties.vsock.properties.cid,data:data48}];
return false;
}
if(errors === _errs98){
if((typeof data48 == "number") && (isFinite(data48))){
if(data48 > 4294967294 || isNaN(data48)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 4294967294},message:"must be <= 4294967294",schema:4294967294,parentSchema:schema11.properties.vsock.properties.cid,data:data48}];
return false;
}
else {
if(data48 < 3 || isNaN(data48)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/minimum",keyword:"minimum",params:{comparison: ">=", limit: 3},message:"must be >= 3",schema:3,parentSchema:schema11.properties.vsock.properties.cid,data:data48}];
return false;
}
}
}
}
var valid11 = _errs98 === errors;
}
else {
var valid11 = true;
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.vsock.type,parentSchema:schema11.properties.vsock,data:data46}];
return false;
}
}
var valid0 = _errs93 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.deviceOrder !== undefined){
let data49 = data.deviceOrder;
const _errs100 = errors;
if(errors === _errs100){
if(Array.isArray(data49)){
var valid12 = true;
const len5 = data49.length;
for(let i5=0; i5<len5; i5++){
let data50 = data49[i5];
const _errs102 = errors;
if(!(((((((data50 === "console") || (data50 === "disk")) || (data50 === "net")) || (data50 === "rng")) || (data50 === "balloon")) || (data50 === "share")) || (data50 === "vsock"))){
validate.errors = [{instancePath:instancePath+"/deviceOrder/" + i5,schemaPath:"#/properties/deviceOrder/items/enum",keyword:"enum",params:{allowedValues: schema11.properties.deviceOrder.items.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.deviceOrder.items.enum,parentSchema:schema11.properties.deviceOrder.items,data:data50}];
return false;
}
var valid12 = _errs102 === errors;
if(!valid12){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/deviceOrder",schemaPath:"#/properties/deviceOrder/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.deviceOrder.type,parentSchema:schema11.properties.deviceOrder,data:data49}];
return false;
}
}
var valid0 = _errs100 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.type,parentSchema:schema11,data}];
return false;
}
}
validate.errors = vErrors;
return errors === 0;
}
