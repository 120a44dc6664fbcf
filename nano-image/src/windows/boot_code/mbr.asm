; Master boot record code: finds the active partition, loads its first sector to 0000:7C00 and jumps to it.
; Build: nasm -f bin -o mbr.bin mbr.asm
;
; Handed on: DL = BIOS drive, DS:SI -> the active partition table entry, DS = ES = SS = 0, SP = 7C00.
; Needs 512-byte sectors and INT 13h extensions (EDD), which every BIOS since the late 1990s has.

        bits 16
        cpu 386
        org 0x600

LOAD_ADDRESS    equ 0x7C00              ; where the BIOS puts us and the boot record expects itself
TABLE           equ 0x600 + 0x1BE       ; partition table of our copy
ENTRY_SIZE      equ 16
ENTRY_LBA       equ 8                   ; dword: first sector
ACTIVE          equ 0x80
TRIES           equ 4

start:  cli
        xor ax, ax
        mov ss, ax
        mov sp, LOAD_ADDRESS
        mov ds, ax
        mov es, ax
        sti
        cld
        mov si, LOAD_ADDRESS            ; make room for the boot record
        mov di, 0x600
        mov cx, 256
        rep movsw
        jmp 0:moved

moved:  test dl, dl                     ; some BIOSes do not pass the drive: this is code for hard disks
        js .drive
        mov dl, 0x80
.drive: mov [drive], dl

        xor bp, bp                      ; exactly one entry is active, all others are marked 0
        mov si, TABLE
        mov cx, 4
.entry: mov al, [si]
        test al, al
        jz .next
        cmp al, ACTIVE
        jne badtable
        test bp, bp
        jnz badtable
        mov bp, si
.next:  add si, ENTRY_SIZE
        loop .entry
        mov si, m_none
        test bp, bp
        jz die

        push bp
        mov ah, 0x41                    ; EDD there, with packet access?
        mov bx, 0x55AA
        int 0x13
        pop bp
        mov si, m_edd
        jc die
        cmp bx, 0xAA55
        jne die
        test cl, 1
        jz die

        mov eax, [bp + ENTRY_LBA]
        mov [dap.lba], eax
        mov di, TRIES
.try:   mov word [dap.count], 1         ; a failed read may have changed it
        mov ah, 0x42
        mov si, dap
        call disk
        jnc .read
        xor ah, ah                      ; reset the drive
        call disk
        dec di
        jnz .try
        mov si, m_read
        jmp die

.read:  mov si, m_boot
        cmp word [LOAD_ADDRESS + 510], 0xAA55
        jne die
        mov si, bp
        mov dl, [drive]
        jmp 0:LOAD_ADDRESS

; disk: INT 13h for our drive with AH, SI -> CF; all other registers kept
disk:   pusha
        mov dl, [drive]
        int 0x13
        popa
        ret

badtable:
        mov si, m_table
die:    call puts                       ; SI = message
        mov si, m_restart
        call puts
        sti
.halt:  hlt                             ; the keyboard interrupt still sees Ctrl+Alt+Del
        jmp .halt

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
dap:    db 16, 0                        ; disk address packet
.count: dw 1
        dw LOAD_ADDRESS, 0              ; offset, segment
.lba:   dd 0, 0
drive:  db 0

m_table:   db "The partition table is damaged.", 0
m_none:    db "The disk has no active partition.", 0
m_edd:     db "The BIOS cannot read disks by LBA.", 0
m_read:    db "The active partition cannot be read.", 0
m_boot:    db "The active partition has no boot record.", 0
m_restart: db 13, 10, "Press Ctrl+Alt+Del to restart.", 13, 10, 0

%if $ - $$ > 440                        ; the disk signature follows
%error "the master boot record code is too large"
%endif
