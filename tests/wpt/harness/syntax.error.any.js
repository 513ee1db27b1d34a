test(() => {}, "never seen");
let x = = 1;
