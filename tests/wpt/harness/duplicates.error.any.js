test(() => {}, "twice");
test(() => {}, "twice");
