; Stands in for \bootmgr: checks what the boot record hands on and every byte of its own file, and prints the result.
; The test appends bytes up to the size wanted and fills in `size` and `sum`.

        bits 16
        cpu 386
        org 0

start:  jmp near run
size:   dd 0                            ; of the whole file, bytes
sum:    dd 0                            ; of all bytes from `body`: add, then rotate left by one

run:    pushf
        mov [cs:handed.sp], sp
        mov [cs:handed.ds], ds
        mov [cs:handed.es], es
        mov [cs:handed.ss], ss
        mov [cs:handed.si], si
        mov [cs:handed.dl], dl
        mov ax, cs
        mov ds, ax
        cld

        mov si, e_cs
        cmp ax, 0x2000
        jne bad
        mov si, e_dl
        cmp byte [handed.dl], 0x80
        jne bad
        mov si, e_segments
        mov ax, [handed.ds]
        or ax, [handed.es]
        or ax, [handed.ss]
        jnz bad
        mov si, e_sp
        cmp word [handed.sp], 0x7C00 - 2        ; flags are on the stack
        jne bad
        mov si, e_si
        cmp word [handed.si], 0x7C00
        jne bad

        xor ax, ax                      ; the boot sector at 7C00 is the disk's, apart from the drive
        mov es, ax
        mov si, e_drive
        cmp byte [es:0x7C24], 0x80
        jne bad
        mov eax, [es:0x7C1C]
        mov [packet.lba], eax
        call sector
        mov byte [es:0x0624], 0x80
        mov si, e_sector
        mov di, 0x7C00
.same:  mov al, [es:di]
        cmp [es:di - 0x7C00 + 0x600], al
        jne bad
        inc di
        cmp di, 0x7E00
        jb .same

        mov dword [packet.lba], 0       ; its hidden sectors are the start of the active partition
        call sector
        mov si, e_hidden
        mov di, 0x600 + 0x1BE
.entry: cmp byte [es:di], 0x80
        je .active
        add di, 16
        cmp di, 0x600 + 0x1FE
        jb .entry
        jmp bad
.active:
        mov eax, [es:di + 8]
        cmp eax, [es:0x7C1C]
        jne bad

        mov ecx, [size]                 ; all of the file is there
        sub ecx, body
        xor ebx, ebx
        mov edi, 0x20000 + body
.sum:   mov eax, edi
        shr eax, 4
        mov es, ax
        mov si, di
        and si, 15
        movzx eax, byte [es:si]
        add ebx, eax
        rol ebx, 1
        inc edi
        dec ecx
        jnz .sum
        mov si, e_sum
        cmp ebx, [sum]
        jne bad
        mov si, m_good
bad:    call puts
        mov si, m_end
        call puts
.halt:  hlt
        jmp .halt

sector: mov ah, 0x42
        mov dl, [handed.dl]
        mov si, packet
        int 0x13
        mov si, e_disk
        jc bad
        ret

puts:   lodsb
        test al, al
        jz .done
        push si
        mov ah, 0x0E
        mov bx, 7
        int 0x10
        pop si
        jmp puts
.done:  ret

        align 4, db 0
packet: db 16, 0
        dw 1
        dw 0x600, 0
.lba:   dd 0, 0
handed:
.sp:    dw 0
.ds:    dw 0
.es:    dw 0
.ss:    dw 0
.si:    dw 0
.dl:    db 0

m_good:         db "all good", 0
m_end:          db " says bootmgr", 13, 10, 0
e_cs:           db "CS", 0
e_dl:           db "DL", 0
e_segments:     db "DS ES SS", 0
e_sp:           db "SP", 0
e_si:           db "SI", 0
e_drive:        db "7C24", 0
e_sector:       db "sector", 0
e_hidden:       db "hidden", 0
e_disk:         db "disk", 0
e_sum:          db "sum", 0
body:
