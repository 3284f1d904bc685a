// @ts-nocheck
// Generated from schema.ts by scripts/generate-validator.mjs. Do not edit.
const schema11 = {"type":"object","required":["memory","cpus","engine","arch","deterministic","reboot","strictIo","strictMsr","strictVirtio","exitOnHlt","detailedExits","virtioConsole","disks","nets","rng","balloon","shares","deviceOrder"],"properties":{"memory":{"type":"integer","minimum":2097152,"maximum":4227858432,"multipleOf":1048576},"cpus":{"type":"integer","minimum":1,"maximum":16},"engine":{"enum":["auto","soft"]},"arch":{"enum":["amd64","i386"]},"deterministic":{"type":"boolean"},"reboot":{"type":"boolean"},"timeout":{"type":"number","exclusiveMinimum":0},"strictIo":{"type":"boolean"},"strictMsr":{"type":"boolean"},"strictVirtio":{"type":"boolean"},"exitOnHlt":{"type":"boolean"},"detailedExits":{"type":"boolean"},"virtioConsole":{"type":"boolean"},"disks":{"type":"array","items":{"type":"object","required":["path","format","readonly"],"properties":{"path":{"type":"string"},"format":{"enum":["auto","raw","qcow2"]},"readonly":{"type":"boolean"}},"additionalProperties":false}},"nets":{"type":"array","items":{"type":"object","required":["kind"],"properties":{"kind":{"enum":["user","tap","bridge","socket"]},"mac":{"type":"string","pattern":"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},"hostLoopback":{"type":"boolean"},"forwards":{"type":"array","items":{"type":"object","required":["protocol","hostAddress","hostPort","guestPort"],"properties":{"protocol":{"enum":["tcp","udp"]},"hostAddress":{"type":"string"},"hostPort":{"type":"integer","minimum":0,"maximum":65535},"guestAddress":{"type":"string"},"guestPort":{"type":"integer","minimum":1,"maximum":65535}},"additionalProperties":false}},"name":{"type":"string"},"address":{"type":"string"},"prefix":{"type":"integer","minimum":1,"maximum":32},"path":{"type":"string"}},"additionalProperties":false}},"rng":{"type":"boolean"},"balloon":{"type":"boolean"},"shares":{"type":"array","items":{"type":"object","required":["path","tag","readonly"],"properties":{"path":{"type":"string"},"tag":{"type":"string"},"readonly":{"type":"boolean"}},"additionalProperties":false}},"vsock":{"type":"object","required":["path","cid"],"properties":{"path":{"type":"string"},"cid":{"type":"integer","minimum":3,"maximum":4294967294}},"additionalProperties":false},"deviceOrder":{"type":"array","items":{"enum":["console","disk","net","rng","balloon","share","vsock"]}}},"additionalProperties":false};
const func2 = Object.prototype.hasOwnProperty;
const pattern0 = new RegExp("^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$", "u");

export function validate(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((((((((((data.memory === undefined) && (missing0 = "memory")) || ((data.cpus === undefined) && (missing0 = "cpus"))) || ((data.engine === undefined) && (missing0 = "engine"))) || ((data.arch === undefined) && (missing0 = "arch"))) || ((data.deterministic === undefined) && (missing0 = "deterministic"))) || ((data.reboot === undefined) && (missing0 = "reboot"))) || ((data.strictIo === undefined) && (missing0 = "strictIo"))) || ((data.strictMsr === undefined) && (missing0 = "strictMsr"))) || ((data.strictVirtio === undefined) && (missing0 = "strictVirtio"))) || ((data.exitOnHlt === undefined) && (missing0 = "exitOnHlt"))) || ((data.detailedExits === undefined) && (missing0 = "detailedExits"))) || ((data.virtioConsole === undefined) && (missing0 = "virtioConsole"))) || ((data.disks === undefined) && (missing0 = "disks"))) || ((data.nets === undefined) && (missing0 = "nets"))) || ((data.rng === undefined) && (missing0 = "rng"))) || ((data.balloon === undefined) && (missing0 = "balloon"))) || ((data.shares === undefined) && (missing0 = "shares"))) || ((data.deviceOrder === undefined) && (missing0 = "deviceOrder"))){
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
if(data0 > 4227858432 || isNaN(data0)){
validate.errors = [{instancePath:instancePath+"/memory",schemaPath:"#/properties/memory/maximum",keyword:"maximum",params:{comparison: "<=", limit: 4227858432},message:"must be <= 4227858432",schema:4227858432,parentSchema:schema11.properties.memory,data:data0}];
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
if(!((data2 === "auto") || (data2 === "soft"))){
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
if(data.deterministic !== undefined){
let data4 = data.deterministic;
const _errs8 = errors;
if(typeof data4 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/deterministic",schemaPath:"#/properties/deterministic/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.deterministic.type,parentSchema:schema11.properties.deterministic,data:data4}];
return false;
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reboot !== undefined){
let data5 = data.reboot;
const _errs10 = errors;
if(typeof data5 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/reboot",schemaPath:"#/properties/reboot/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.reboot.type,parentSchema:schema11.properties.reboot,data:data5}];
return false;
}
var valid0 = _errs10 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.timeout !== undefined){
let data6 = data.timeout;
const _errs12 = errors;
if(errors === _errs12){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 <= 0 || isNaN(data6)){
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/exclusiveMinimum",keyword:"exclusiveMinimum",params:{comparison: ">", limit: 0},message:"must be > 0",schema:0,parentSchema:schema11.properties.timeout,data:data6}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/timeout",schemaPath:"#/properties/timeout/type",keyword:"type",params:{type: "number"},message:"must be number",schema:schema11.properties.timeout.type,parentSchema:schema11.properties.timeout,data:data6}];
return false;
}
}
var valid0 = _errs12 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictIo !== undefined){
let data7 = data.strictIo;
const _errs14 = errors;
if(typeof data7 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictIo",schemaPath:"#/properties/strictIo/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictIo.type,parentSchema:schema11.properties.strictIo,data:data7}];
return false;
}
var valid0 = _errs14 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictMsr !== undefined){
let data8 = data.strictMsr;
const _errs16 = errors;
if(typeof data8 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictMsr",schemaPath:"#/properties/strictMsr/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictMsr.type,parentSchema:schema11.properties.strictMsr,data:data8}];
return false;
}
var valid0 = _errs16 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.strictVirtio !== undefined){
let data9 = data.strictVirtio;
const _errs18 = errors;
if(typeof data9 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/strictVirtio",schemaPath:"#/properties/strictVirtio/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.strictVirtio.type,parentSchema:schema11.properties.strictVirtio,data:data9}];
return false;
}
var valid0 = _errs18 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.exitOnHlt !== undefined){
let data10 = data.exitOnHlt;
const _errs20 = errors;
if(typeof data10 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/exitOnHlt",schemaPath:"#/properties/exitOnHlt/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.exitOnHlt.type,parentSchema:schema11.properties.exitOnHlt,data:data10}];
return false;
}
var valid0 = _errs20 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detailedExits !== undefined){
let data11 = data.detailedExits;
const _errs22 = errors;
if(typeof data11 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/detailedExits",schemaPath:"#/properties/detailedExits/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.detailedExits.type,parentSchema:schema11.properties.detailedExits,data:data11}];
return false;
}
var valid0 = _errs22 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.virtioConsole !== undefined){
let data12 = data.virtioConsole;
const _errs24 = errors;
if(typeof data12 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/virtioConsole",schemaPath:"#/properties/virtioConsole/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.virtioConsole.type,parentSchema:schema11.properties.virtioConsole,data:data12}];
return false;
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.disks !== undefined){
let data13 = data.disks;
const _errs26 = errors;
if(errors === _errs26){
if(Array.isArray(data13)){
var valid1 = true;
const len0 = data13.length;
for(let i0=0; i0<len0; i0++){
let data14 = data13[i0];
const _errs28 = errors;
if(errors === _errs28){
if(data14 && typeof data14 == "object" && !Array.isArray(data14)){
let missing1;
if((((data14.path === undefined) && (missing1 = "path")) || ((data14.format === undefined) && (missing1 = "format"))) || ((data14.readonly === undefined) && (missing1 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i0,schemaPath:"#/properties/disks/items/required",keyword:"required",params:{missingProperty: missing1},message:"must have required property '"+missing1+"'",schema:schema11.properties.disks.items.required,parentSchema:schema11.properties.disks.items,data:data14}];
return false;
}
else {
const _errs30 = errors;
for(const key1 in data14){
if(!(((key1 === "path") || (key1 === "format")) || (key1 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i0,schemaPath:"#/properties/disks/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key1},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.disks.items,data:data14}];
return false;
break;
}
}
if(_errs30 === errors){
if(data14.path !== undefined){
let data15 = data14.path;
const _errs31 = errors;
if(typeof data15 !== "string"){
validate.errors = [{instancePath:instancePath+"/disks/" + i0+"/path",schemaPath:"#/properties/disks/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.disks.items.properties.path.type,parentSchema:schema11.properties.disks.items.properties.path,data:data15}];
return false;
}
var valid2 = _errs31 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data14.format !== undefined){
let data16 = data14.format;
const _errs33 = errors;
if(!(((data16 === "auto") || (data16 === "raw")) || (data16 === "qcow2"))){
validate.errors = [{instancePath:instancePath+"/disks/" + i0+"/format",schemaPath:"#/properties/disks/items/properties/format/enum",keyword:"enum",params:{allowedValues: schema11.properties.disks.items.properties.format.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.disks.items.properties.format.enum,parentSchema:schema11.properties.disks.items.properties.format,data:data16}];
return false;
}
var valid2 = _errs33 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data14.readonly !== undefined){
let data17 = data14.readonly;
const _errs34 = errors;
if(typeof data17 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/disks/" + i0+"/readonly",schemaPath:"#/properties/disks/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.disks.items.properties.readonly.type,parentSchema:schema11.properties.disks.items.properties.readonly,data:data17}];
return false;
}
var valid2 = _errs34 === errors;
}
else {
var valid2 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks/" + i0,schemaPath:"#/properties/disks/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.disks.items.type,parentSchema:schema11.properties.disks.items,data:data14}];
return false;
}
}
var valid1 = _errs28 === errors;
if(!valid1){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/disks",schemaPath:"#/properties/disks/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.disks.type,parentSchema:schema11.properties.disks,data:data13}];
return false;
}
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.nets !== undefined){
let data18 = data.nets;
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
if((data19.kind === undefined) && (missing2 = "kind")){
validate.errors = [{instancePath:instancePath+"/nets/" + i1,schemaPath:"#/properties/nets/items/required",keyword:"required",params:{missingProperty: missing2},message:"must have required property '"+missing2+"'",schema:schema11.properties.nets.items.required,parentSchema:schema11.properties.nets.items,data:data19}];
return false;
}
else {
const _errs40 = errors;
for(const key2 in data19){
if(!((((((((key2 === "kind") || (key2 === "mac")) || (key2 === "hostLoopback")) || (key2 === "forwards")) || (key2 === "name")) || (key2 === "address")) || (key2 === "prefix")) || (key2 === "path"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1,schemaPath:"#/properties/nets/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key2},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items,data:data19}];
return false;
break;
}
}
if(_errs40 === errors){
if(data19.kind !== undefined){
let data20 = data19.kind;
const _errs41 = errors;
if(!((((data20 === "user") || (data20 === "tap")) || (data20 === "bridge")) || (data20 === "socket"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/kind",schemaPath:"#/properties/nets/items/properties/kind/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.kind.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.kind.enum,parentSchema:schema11.properties.nets.items.properties.kind,data:data20}];
return false;
}
var valid4 = _errs41 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.mac !== undefined){
let data21 = data19.mac;
const _errs42 = errors;
if(errors === _errs42){
if(typeof data21 === "string"){
if(!pattern0.test(data21)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/mac",schemaPath:"#/properties/nets/items/properties/mac/pattern",keyword:"pattern",params:{pattern: "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"},message:"must match pattern \""+"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$"+"\"",schema:"^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",parentSchema:schema11.properties.nets.items.properties.mac,data:data21}];
return false;
}
}
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/mac",schemaPath:"#/properties/nets/items/properties/mac/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.mac.type,parentSchema:schema11.properties.nets.items.properties.mac,data:data21}];
return false;
}
}
var valid4 = _errs42 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.hostLoopback !== undefined){
let data22 = data19.hostLoopback;
const _errs44 = errors;
if(typeof data22 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/hostLoopback",schemaPath:"#/properties/nets/items/properties/hostLoopback/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.nets.items.properties.hostLoopback.type,parentSchema:schema11.properties.nets.items.properties.hostLoopback,data:data22}];
return false;
}
var valid4 = _errs44 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.forwards !== undefined){
let data23 = data19.forwards;
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
if(((((data24.protocol === undefined) && (missing3 = "protocol")) || ((data24.hostAddress === undefined) && (missing3 = "hostAddress"))) || ((data24.hostPort === undefined) && (missing3 = "hostPort"))) || ((data24.guestPort === undefined) && (missing3 = "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2,schemaPath:"#/properties/nets/items/properties/forwards/items/required",keyword:"required",params:{missingProperty: missing3},message:"must have required property '"+missing3+"'",schema:schema11.properties.nets.items.properties.forwards.items.required,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data24}];
return false;
}
else {
const _errs50 = errors;
for(const key3 in data24){
if(!(((((key3 === "protocol") || (key3 === "hostAddress")) || (key3 === "hostPort")) || (key3 === "guestAddress")) || (key3 === "guestPort"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2,schemaPath:"#/properties/nets/items/properties/forwards/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key3},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data24}];
return false;
break;
}
}
if(_errs50 === errors){
if(data24.protocol !== undefined){
let data25 = data24.protocol;
const _errs51 = errors;
if(!((data25 === "tcp") || (data25 === "udp"))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/protocol",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/protocol/enum",keyword:"enum",params:{allowedValues: schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.nets.items.properties.forwards.items.properties.protocol.enum,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.protocol,data:data25}];
return false;
}
var valid6 = _errs51 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.hostAddress !== undefined){
let data26 = data24.hostAddress;
const _errs52 = errors;
if(typeof data26 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostAddress,data:data26}];
return false;
}
var valid6 = _errs52 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.hostPort !== undefined){
let data27 = data24.hostPort;
const _errs54 = errors;
if(!(((typeof data27 == "number") && (!(data27 % 1) && !isNaN(data27))) && (isFinite(data27)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data27}];
return false;
}
if(errors === _errs54){
if((typeof data27 == "number") && (isFinite(data27))){
if(data27 > 65535 || isNaN(data27)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data27}];
return false;
}
else {
if(data27 < 0 || isNaN(data27)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/hostPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/hostPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 0},message:"must be >= 0",schema:0,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.hostPort,data:data27}];
return false;
}
}
}
}
var valid6 = _errs54 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.guestAddress !== undefined){
let data28 = data24.guestAddress;
const _errs56 = errors;
if(typeof data28 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestAddress",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestAddress/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestAddress,data:data28}];
return false;
}
var valid6 = _errs56 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data24.guestPort !== undefined){
let data29 = data24.guestPort;
const _errs58 = errors;
if(!(((typeof data29 == "number") && (!(data29 % 1) && !isNaN(data29))) && (isFinite(data29)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort.type,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data29}];
return false;
}
if(errors === _errs58){
if((typeof data29 == "number") && (isFinite(data29))){
if(data29 > 65535 || isNaN(data29)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/maximum",keyword:"maximum",params:{comparison: "<=", limit: 65535},message:"must be <= 65535",schema:65535,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data29}];
return false;
}
else {
if(data29 < 1 || isNaN(data29)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2+"/guestPort",schemaPath:"#/properties/nets/items/properties/forwards/items/properties/guestPort/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.forwards.items.properties.guestPort,data:data29}];
return false;
}
}
}
}
var valid6 = _errs58 === errors;
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
else {
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards/" + i2,schemaPath:"#/properties/nets/items/properties/forwards/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.properties.forwards.items.type,parentSchema:schema11.properties.nets.items.properties.forwards.items,data:data24}];
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
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/forwards",schemaPath:"#/properties/nets/items/properties/forwards/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.items.properties.forwards.type,parentSchema:schema11.properties.nets.items.properties.forwards,data:data23}];
return false;
}
}
var valid4 = _errs46 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.name !== undefined){
let data30 = data19.name;
const _errs60 = errors;
if(typeof data30 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/name",schemaPath:"#/properties/nets/items/properties/name/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.name.type,parentSchema:schema11.properties.nets.items.properties.name,data:data30}];
return false;
}
var valid4 = _errs60 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.address !== undefined){
let data31 = data19.address;
const _errs62 = errors;
if(typeof data31 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/address",schemaPath:"#/properties/nets/items/properties/address/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.address.type,parentSchema:schema11.properties.nets.items.properties.address,data:data31}];
return false;
}
var valid4 = _errs62 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.prefix !== undefined){
let data32 = data19.prefix;
const _errs64 = errors;
if(!(((typeof data32 == "number") && (!(data32 % 1) && !isNaN(data32))) && (isFinite(data32)))){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.nets.items.properties.prefix.type,parentSchema:schema11.properties.nets.items.properties.prefix,data:data32}];
return false;
}
if(errors === _errs64){
if((typeof data32 == "number") && (isFinite(data32))){
if(data32 > 32 || isNaN(data32)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/maximum",keyword:"maximum",params:{comparison: "<=", limit: 32},message:"must be <= 32",schema:32,parentSchema:schema11.properties.nets.items.properties.prefix,data:data32}];
return false;
}
else {
if(data32 < 1 || isNaN(data32)){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/prefix",schemaPath:"#/properties/nets/items/properties/prefix/minimum",keyword:"minimum",params:{comparison: ">=", limit: 1},message:"must be >= 1",schema:1,parentSchema:schema11.properties.nets.items.properties.prefix,data:data32}];
return false;
}
}
}
}
var valid4 = _errs64 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data19.path !== undefined){
let data33 = data19.path;
const _errs66 = errors;
if(typeof data33 !== "string"){
validate.errors = [{instancePath:instancePath+"/nets/" + i1+"/path",schemaPath:"#/properties/nets/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.nets.items.properties.path.type,parentSchema:schema11.properties.nets.items.properties.path,data:data33}];
return false;
}
var valid4 = _errs66 === errors;
}
else {
var valid4 = true;
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
validate.errors = [{instancePath:instancePath+"/nets/" + i1,schemaPath:"#/properties/nets/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.nets.items.type,parentSchema:schema11.properties.nets.items,data:data19}];
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
validate.errors = [{instancePath:instancePath+"/nets",schemaPath:"#/properties/nets/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.nets.type,parentSchema:schema11.properties.nets,data:data18}];
return false;
}
}
var valid0 = _errs36 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.rng !== undefined){
let data34 = data.rng;
const _errs68 = errors;
if(typeof data34 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/rng",schemaPath:"#/properties/rng/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.rng.type,parentSchema:schema11.properties.rng,data:data34}];
return false;
}
var valid0 = _errs68 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.balloon !== undefined){
let data35 = data.balloon;
const _errs70 = errors;
if(typeof data35 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/balloon",schemaPath:"#/properties/balloon/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.balloon.type,parentSchema:schema11.properties.balloon,data:data35}];
return false;
}
var valid0 = _errs70 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.shares !== undefined){
let data36 = data.shares;
const _errs72 = errors;
if(errors === _errs72){
if(Array.isArray(data36)){
var valid7 = true;
const len3 = data36.length;
for(let i3=0; i3<len3; i3++){
let data37 = data36[i3];
const _errs74 = errors;
if(errors === _errs74){
if(data37 && typeof data37 == "object" && !Array.isArray(data37)){
let missing4;
if((((data37.path === undefined) && (missing4 = "path")) || ((data37.tag === undefined) && (missing4 = "tag"))) || ((data37.readonly === undefined) && (missing4 = "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i3,schemaPath:"#/properties/shares/items/required",keyword:"required",params:{missingProperty: missing4},message:"must have required property '"+missing4+"'",schema:schema11.properties.shares.items.required,parentSchema:schema11.properties.shares.items,data:data37}];
return false;
}
else {
const _errs76 = errors;
for(const key4 in data37){
if(!(((key4 === "path") || (key4 === "tag")) || (key4 === "readonly"))){
validate.errors = [{instancePath:instancePath+"/shares/" + i3,schemaPath:"#/properties/shares/items/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key4},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.shares.items,data:data37}];
return false;
break;
}
}
if(_errs76 === errors){
if(data37.path !== undefined){
let data38 = data37.path;
const _errs77 = errors;
if(typeof data38 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i3+"/path",schemaPath:"#/properties/shares/items/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.path.type,parentSchema:schema11.properties.shares.items.properties.path,data:data38}];
return false;
}
var valid8 = _errs77 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data37.tag !== undefined){
let data39 = data37.tag;
const _errs79 = errors;
if(typeof data39 !== "string"){
validate.errors = [{instancePath:instancePath+"/shares/" + i3+"/tag",schemaPath:"#/properties/shares/items/properties/tag/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.shares.items.properties.tag.type,parentSchema:schema11.properties.shares.items.properties.tag,data:data39}];
return false;
}
var valid8 = _errs79 === errors;
}
else {
var valid8 = true;
}
if(valid8){
if(data37.readonly !== undefined){
let data40 = data37.readonly;
const _errs81 = errors;
if(typeof data40 !== "boolean"){
validate.errors = [{instancePath:instancePath+"/shares/" + i3+"/readonly",schemaPath:"#/properties/shares/items/properties/readonly/type",keyword:"type",params:{type: "boolean"},message:"must be boolean",schema:schema11.properties.shares.items.properties.readonly.type,parentSchema:schema11.properties.shares.items.properties.readonly,data:data40}];
return false;
}
var valid8 = _errs81 === errors;
}
else {
var valid8 = true;
}
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares/" + i3,schemaPath:"#/properties/shares/items/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.shares.items.type,parentSchema:schema11.properties.shares.items,data:data37}];
return false;
}
}
var valid7 = _errs74 === errors;
if(!valid7){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/shares",schemaPath:"#/properties/shares/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.shares.type,parentSchema:schema11.properties.shares,data:data36}];
return false;
}
}
var valid0 = _errs72 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.vsock !== undefined){
let data41 = data.vsock;
const _errs83 = errors;
if(errors === _errs83){
if(data41 && typeof data41 == "object" && !Array.isArray(data41)){
let missing5;
if(((data41.path === undefined) && (missing5 = "path")) || ((data41.cid === undefined) && (missing5 = "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/required",keyword:"required",params:{missingProperty: missing5},message:"must have required property '"+missing5+"'",schema:schema11.properties.vsock.required,parentSchema:schema11.properties.vsock,data:data41}];
return false;
}
else {
const _errs85 = errors;
for(const key5 in data41){
if(!((key5 === "path") || (key5 === "cid"))){
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key5},message:"must NOT have additional properties",schema:false,parentSchema:schema11.properties.vsock,data:data41}];
return false;
break;
}
}
if(_errs85 === errors){
if(data41.path !== undefined){
let data42 = data41.path;
const _errs86 = errors;
if(typeof data42 !== "string"){
validate.errors = [{instancePath:instancePath+"/vsock/path",schemaPath:"#/properties/vsock/properties/path/type",keyword:"type",params:{type: "string"},message:"must be string",schema:schema11.properties.vsock.properties.path.type,parentSchema:schema11.properties.vsock.properties.path,data:data42}];
return false;
}
var valid9 = _errs86 === errors;
}
else {
var valid9 = true;
}
if(valid9){
if(data41.cid !== undefined){
let data43 = data41.cid;
const _errs88 = errors;
if(!(((typeof data43 == "number") && (!(data43 % 1) && !isNaN(data43))) && (isFinite(data43)))){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/type",keyword:"type",params:{type: "integer"},message:"must be integer",schema:schema11.properties.vsock.properties.cid.type,parentSchema:schema11.properties.vsock.properties.cid,data:data43}];
return false;
}
if(errors === _errs88){
if((typeof data43 == "number") && (isFinite(data43))){
if(data43 > 4294967294 || isNaN(data43)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 4294967294},message:"must be <= 4294967294",schema:4294967294,parentSchema:schema11.properties.vsock.properties.cid,data:data43}];
return false;
}
else {
if(data43 < 3 || isNaN(data43)){
validate.errors = [{instancePath:instancePath+"/vsock/cid",schemaPath:"#/properties/vsock/properties/cid/minimum",keyword:"minimum",params:{comparison: ">=", limit: 3},message:"must be >= 3",schema:3,parentSchema:schema11.properties.vsock.properties.cid,data:data43}];
return false;
}
}
}
}
var valid9 = _errs88 === errors;
}
else {
var valid9 = true;
}
}
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/vsock",schemaPath:"#/properties/vsock/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.properties.vsock.type,parentSchema:schema11.properties.vsock,data:data41}];
return false;
}
}
var valid0 = _errs83 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.deviceOrder !== undefined){
let data44 = data.deviceOrder;
const _errs90 = errors;
if(errors === _errs90){
if(Array.isArray(data44)){
var valid10 = true;
const len4 = data44.length;
for(let i4=0; i4<len4; i4++){
let data45 = data44[i4];
const _errs92 = errors;
if(!(((((((data45 === "console") || (data45 === "disk")) || (data45 === "net")) || (data45 === "rng")) || (data45 === "balloon")) || (data45 === "share")) || (data45 === "vsock"))){
validate.errors = [{instancePath:instancePath+"/deviceOrder/" + i4,schemaPath:"#/properties/deviceOrder/items/enum",keyword:"enum",params:{allowedValues: schema11.properties.deviceOrder.items.enum},message:"must be equal to one of the allowed values",schema:schema11.properties.deviceOrder.items.enum,parentSchema:schema11.properties.deviceOrder.items,data:data45}];
return false;
}
var valid10 = _errs92 === errors;
if(!valid10){
break;
}
}
}
else {
validate.errors = [{instancePath:instancePath+"/deviceOrder",schemaPath:"#/properties/deviceOrder/type",keyword:"type",params:{type: "array"},message:"must be array",schema:schema11.properties.deviceOrder.type,parentSchema:schema11.properties.deviceOrder,data:data44}];
return false;
}
}
var valid0 = _errs90 === errors;
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
else {
validate.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"},message:"must be object",schema:schema11.type,parentSchema:schema11,data}];
return false;
}
}
validate.errors = vErrors;
return errors === 0;
}
