; NTFS boot record ($Boot): finds \bootmgr, loads it to 2000:0000 and jumps there.
; Build: nasm -f bin -o vbr.bin vbr.asm
;
; Handed on: CS:IP = 2000:0000, DL = BIOS drive, DS = ES = SS = 0, SP = 7C00, this boot sector at 0000:7C00 with the
; drive number at 7C24, DS:SI -> it, A20 open.
;
; It reads NTFS rather than a list of sectors, because servicing rewrites bootmgr and defragmenting moves it.
; Every walk over on-disk data is bounded: damage ends in a message, never in a hang.
; Needs 512-byte sectors, INT 13h extensions (EDD), file records and index blocks of at most 4096 bytes.
;
; Memory  03000 attribute list of the file      0A000 base file record       0E000 extension record of $MFT
;         05000 attribute list of $MFT          0B000 index block            10000 records on their way in
;         07000 stack, up to 7BFF               0C000 $MFT's base record     20000 bootmgr
;         07C00 this code, up to 9BFF           0D000 extension record

        bits 16
        cpu 386
        org 0x7C00

LIST_MAX        equ 8192
FILE_LIST       equ 0x3000
MFT_LIST        equ 0x5000
FILE_RECORD     equ 0xA000
INDEX_BLOCK     equ 0xB000
MFT_RECORD      equ 0xC000
FILE_EXTENSION  equ 0xD000
MFT_EXTENSION   equ 0xE000
LANDING         equ 0x10000             ; linear; one 4096-byte buffer for each level of nested reads
BOOTMGR_SEGMENT equ 0x2000

TRIES           equ 4
READ_MAX        equ 64                  ; sectors at once
NESTING_MAX     equ 8
TREE_MAX        equ 16                  ; levels of the root folder's B+ tree
MAGIC           equ 0x4F4E414E

start:  jmp short boot
        nop
        db "NTFS    "
        times 0x54 - ($ - $$) db 0      ; BIOS parameter block: the volume's own
bytes_per_sector        equ start + 0x0B
sectors_per_cluster     equ start + 0x0D        ; 1..80h, or F4h..FFh: 2^-n
hidden_sectors          equ start + 0x1C
drive                   equ start + 0x24
total_sectors           equ start + 0x28
mft_lcn                 equ start + 0x30
clusters_per_record     equ start + 0x40        ; negative: 2^-n bytes
clusters_per_index      equ start + 0x44

boot:   cli
        xor ax, ax
        mov ss, ax
        mov sp, start
        mov ds, ax
        mov es, ax
        sti
        cld
        jmp 0:.flat
.flat:  mov [drive], dl
        mov ah, 0x41                    ; EDD there, with packet access?
        mov bx, 0x55AA
        int 0x13
        mov si, m_edd
        jc die
        cmp bx, 0xAA55
        jne die
        test cl, 1
        jz die
        mov eax, 1
        mov cx, SECTORS - 1
        mov edi, stage2
        call rdsec
        mov si, m_self
        cmp dword [magic], MAGIC
        je stage2

die:    call puts                       ; SI = message
halt:   mov si, m_restart
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

; rdsec: EAX = sector of the volume, CX = sectors, EDI = linear address; the target must not cross a 64 KiB boundary.
; All registers kept
rdsec:  pushad
        xor edx, edx
        add eax, [hidden_sectors]
        adc edx, edx
        mov ebp, eax                    ; EDX:EBP = LBA
        mov bx, di
        and bx, 15                      ; DI:BX = target
        shr edi, 4
        mov al, TRIES
.try:   push edx                        ; disk address packet; a failed read may change it
        push ebp
        push di
        push bx
        push cx
        push word 16
        mov si, sp
        mov ah, 0x42
        call disk
        lea sp, [si + 16]
        jnc .read
        mov ah, 0                       ; reset the drive
        call disk
        dec al
        jnz .try
        mov si, m_read
        jmp die
.read:  popad
        ret

; disk: INT 13h for our drive with AH, SI -> CF; all other registers kept
disk:   pusha
        mov dl, [drive]
        int 0x13
        popa
        ret

m_edd:     db "The BIOS cannot read disks by LBA.", 0
m_read:    db "The disk cannot be read.", 0
m_self:    db "Boot code is incomplete or the boot sector's hidden sectors are wrong.", 0
m_restart: db 13, 10, "Press Ctrl+Alt+Del to restart.", 13, 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55

; ---------------------------------------------------------------------------------------------- sectors 1 and up

stage2: mov si, m_sector
        cmp word [bytes_per_sector], 512
        jne die
        movzx eax, byte [sectors_per_cluster]
        cmp al, 0x80
        jbe .cluster
        neg al
        cmp al, 12                      ; 2 MiB
        ja damage
        mov cl, al
        mov eax, 1
        shl eax, cl
.cluster:
        lea edx, [eax - 1]              ; a power of two?
        test eax, edx
        jnz damage
        test eax, eax
        jz damage
        mov [cluster], eax
        mov al, [clusters_per_index]
        call unit
        mov [block], eax
        mov ebx, 1                      ; index VCNs count sectors when blocks are smaller than clusters
        cmp eax, [cluster]
        jb .vcn
        mov ebx, [cluster]
.vcn:   mov [index_unit], ebx
        mov al, [clusters_per_record]
        call unit
        mov [record], eax

        mov ecx, eax                    ; $MFT's base record, straight from the boot sector
        mov eax, [mft_lcn]
        cmp dword [mft_lcn + 4], 0
        jne damage
        call sectors
        mov edi, MFT_RECORD
        call rdsec
        mov si, MFT_RECORD
        call accept
        xor eax, eax
        call base
        mov bx, mft
        xor ecx, ecx
        mov dx, MFT_EXTENSION
        mov di, MFT_LIST
        mov eax, DATA
        call open
        jc damage

        mov word [place], m_root
        mov eax, 5
        mov di, FILE_RECORD
        call rdrec
        call base
        test byte [si + RECORD_FLAGS], 2
        jz damage
        mov eax, INDEX_ROOT
        mov ecx, 5
        call open_file
        jc damage
        test byte [si + ATTR_NONRES], 1
        jnz damage
        cmp dword [si + VALUE_LENGTH], 0x20
        jb damage
        mov bx, si
        add bx, [si + VALUE_OFFSET]
        mov dx, bx
        add dx, [si + VALUE_LENGTH]
        add bx, 0x10
        call scan
        jnc found
        jz missing
        push eax
        mov si, FILE_RECORD
        mov eax, ALLOCATION
        mov ecx, 5
        call open_file
        pop eax
        jc damage
        mov cx, TREE_MAX
.node:  push cx
        push eax
        mul dword [index_unit]
        jc damage
        mov ecx, [block]
        mov edi, INDEX_BLOCK
        mov bx, file
        call rdattr
        mov si, INDEX_BLOCK
        mov ecx, [block]
        mov eax, 'INDX'
        call fixup
        pop eax
        cmp [si + 0x10], eax            ; the block knows its own VCN
        jne damage
        mov dx, cx
        shl dx, 9
        add dx, si
        lea bx, [si + 0x18]
        call scan
        pop cx
        jnc found
        jz missing
        loop .node
        jmp damage
missing:
        mov si, m_missing
        jmp die

found:  mov word [place], m_bootmgr     ; BX = index entry, which begins with a reference
        mov eax, [bx]
        mov dx, [bx + 6]
        cmp word [bx + 4], 0
        jne damage
        mov di, FILE_RECORD
        push eax
        push dx
        call rdrec
        pop dx
        pop ecx
        call current
        call base
        test byte [si + RECORD_FLAGS], 2
        jnz missing
        mov eax, DATA
        call open_file
        jc damage
        test byte [si + ATTR_NONRES], 1
        jnz .runs

        mov ecx, [si + VALUE_LENGTH]
        add si, [si + VALUE_OFFSET]
        test cx, cx
        jz empty
        push es
        push word BOOTMGR_SEGMENT
        pop es
        xor di, di
        rep movsb
        pop es
        jmp start_bootmgr

.runs:  test word [si + ATTR_FLAGS], 0x40FF
        jnz packed
        mov eax, [si + DATA_SIZE]
        cmp dword [si + DATA_SIZE + 4], 0
        jne too_large
        test eax, eax
        jz empty
        cmp [si + VALID_SIZE], eax      ; what lies behind has never been written
        jne packed
        push eax
        int 0x12                        ; KiB of memory below the BIOS's own
        movzx ecx, ax
        shl ecx, 10
        pop eax
        sub ecx, BOOTMGR_SEGMENT * 16
        jbe too_large
        shr ecx, 9
        dec eax
        shr eax, 9
        inc eax
        cmp eax, ecx
        ja too_large
        mov ecx, eax
        xor eax, eax
        mov edi, BOOTMGR_SEGMENT * 16
        mov bx, file
        call rdattr

start_bootmgr:
        mov ax, 0x2401                  ; open A20, as usual by now; bootmgr sees to it when the BIOS cannot
        int 0x15
        sti
        cld
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov sp, start
        movzx dx, byte [drive]
        mov si, start
        jmp BOOTMGR_SEGMENT:0

packed: mov si, m_packed
        jmp die
empty:  mov si, m_empty
        jmp die
too_large:
        mov si, m_large
        jmp die
damage: mov si, m_damage
        call puts
        mov si, [place]
        call puts
        jmp halt

%include "vbr_ntfs.asm"

bootmgr:   dw "B", "O", "O", "T", "M", "G", "R"
BOOTMGR_LENGTH  equ ($ - bootmgr) / 2

m_sector:  db "The volume does not have 512-byte sectors.", 0
m_missing: db "The file bootmgr is missing.", 0
m_empty:   db "The file bootmgr is empty.", 0
m_packed:  db "The file bootmgr is compressed, encrypted, sparse or incomplete.", 0
m_large:   db "The file bootmgr is too large.", 0
m_damage:  db "NTFS is damaged or not understood: ", 0
m_mft:     db "$MFT", 0
m_root:    db "root folder", 0
m_bootmgr: db "bootmgr", 0

        align 4, db 0
cluster:        dd 0                    ; sectors
record:         dd 0                    ; sectors
block:          dd 0                    ; sectors of an index block
index_unit:     dd 0                    ; sectors counted by one VCN of the index
place:          dw m_mft                ; what is being read, for the message
nesting:        db 0
mft:            times STREAM_SIZE db 0
file:           times STREAM_SIZE db 0
attribute_list: times STREAM_SIZE db 0
magic:          dd MAGIC                ; the last bytes: all sectors have been loaded

SECTORS         equ ($ - $$ + 511) / 512
%if SECTORS > 16
%error "the boot record is too large for $Boot"
%endif
        times SECTORS * 512 - ($ - $$) db 0
