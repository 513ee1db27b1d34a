;; A core module without imports: exports to call by name from the command line
;; and the API.
(module
  (memory (export "mem") 1 4)
  (data (i32.const 16) "plain text")

  (func (export "add") (param $a i32) (param $b i32) (result i32)
    (i32.add (local.get $a) (local.get $b)))

  ;; Traps if $b is 0, and for the one quotient that i32 cannot hold.
  (func (export "div") (param $a i32) (param $b i32) (result i32)
    (i32.div_s (local.get $a) (local.get $b)))

  ;; The factorial; it wraps above 20.
  (func $fac (export "fac") (param $n i64) (result i64)
    (if (result i64) (i64.lt_s (local.get $n) (i64.const 2))
      (then (i64.const 1))
      (else (i64.mul (local.get $n) (call $fac (i64.sub (local.get $n) (i64.const 1)))))))

  (func (export "loop")
    (loop $again (br $again))))
